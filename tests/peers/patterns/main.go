// Patterns answers what Go's regexp package says of a pattern and of texts.
//
// Each line of standard input holds fields in hexadecimal, separated by blanks: a pattern and any number of texts. Each
// line of output is "error" and a message, or "ok" and one digit for each text, 1 where the pattern matches.
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
)

func main() {
	input := bufio.NewReaderSize(os.Stdin, 1<<20)
	output := bufio.NewWriterSize(os.Stdout, 1<<20)
	defer output.Flush()
	for {
		line, err := input.ReadString('\n')
		if err != nil {
			return
		}
		fmt.Fprintln(output, answer(strings.Split(strings.TrimSuffix(line, "\n"), " ")))
	}
}

func answer(fields []string) string {
	pattern, err := regexp.Compile(text(fields[0]))
	if err != nil {
		return "error " + strings.ReplaceAll(err.Error(), "\n", " ")
	}
	digits := make([]byte, 0, len(fields))
	for _, field := range fields[1:] {
		digit := byte('0')
		if pattern.MatchString(text(field)) {
			digit = '1'
		}
		digits = append(digits, digit)
	}
	return "ok " + string(digits)
}

func text(field string) string {
	decoded, err := hex.DecodeString(field)
	if err != nil {
		panic(err)
	}
	return string(decoded)
}
