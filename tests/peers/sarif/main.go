// Sarif says whether standard input is a SARIF 2.1.0 log, by the schema of the standard.
package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"

	_ "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"github.com/xeipuuv/gojsonschema"
)

// The library has the schema, and keeps it to itself.
//
//go:generate sh -c "sed '3s/^[^{]*//; /^[^ {}]/d' $(go list -f '{{.Dir}}' github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif)/schema.go >schema.json"
//go:embed schema.json
var schema string

func main() {
	if err := validate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func validate() error {
	content, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	result, err := gojsonschema.Validate(gojsonschema.NewStringLoader(schema), gojsonschema.NewBytesLoader(content))
	if err != nil {
		return err
	}
	for _, wrong := range result.Errors() {
		err = errors.Join(err, errors.New(wrong.String()))
	}
	return err
}
