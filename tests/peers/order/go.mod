module order

go 1.25.8
