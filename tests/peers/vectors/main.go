// Prints the published test vectors of age as JSON: a list of objects with name, expect, payload (of a success, its SHA-256),
// identities and file (base64).
package main

import (
	"bytes"
	"compress/zlib"
	"encoding/json"
	"io"
	"io/fs"
	"log"
	"os"
	"strings"

	agetest "c2sp.org/CCTV/age"
)

type vector struct {
	Name       string   `json:"name"`
	Expect     string   `json:"expect"`
	Payload    string   `json:"payload"`
	Identities []string `json:"identities"`
	File       []byte   `json:"file"`
}

func main() {
	log.SetFlags(0)
	names, err := fs.Glob(agetest.Vectors, "*")
	if err != nil {
		log.Fatal(err)
	}
	vectors := []vector{}
	for _, name := range names {
		vectors = append(vectors, read(name))
	}
	if err := json.NewEncoder(os.Stdout).Encode(vectors); err != nil {
		log.Fatal(err)
	}
}

func read(name string) vector {
	text, err := fs.ReadFile(agetest.Vectors, name)
	if err != nil {
		log.Fatal(err)
	}
	head, file, _ := bytes.Cut(text, []byte("\n\n"))
	v := vector{Name: name, Identities: []string{}, File: file}
	for _, line := range strings.Split(string(head), "\n") {
		key, value, _ := strings.Cut(line, ": ")
		switch key {
		case "expect":
			v.Expect = value
		case "payload":
			v.Payload = value
		case "identity":
			v.Identities = append(v.Identities, value)
		case "compressed":
			reader, err := zlib.NewReader(bytes.NewReader(file))
			if err != nil {
				log.Fatal(name, err)
			}
			if v.File, err = io.ReadAll(reader); err != nil {
				log.Fatal(name, err)
			}
		}
	}
	return v
}
