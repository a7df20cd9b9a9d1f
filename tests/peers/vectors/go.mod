module vectors

go 1.25.8

require c2sp.org/CCTV/age v0.0.0-20251208015420-e9274a7bdbfd
