// Order answers which of some patterns match which paths, by trying every short path with Go's regexp package.
//
// Each line of standard input holds fields in hexadecimal, separated by blanks: patterns, a "-", and any number
// of paths. Each line of output answers for the given paths and then for every clean path of up to six characters over
// a, b, '.' and '/': the given ones each by a bit set in hexadecimal, bit 0 for the first pattern; then, behind a "|",
// each bit set that occurs with the first path that has it, "SET:PATH", the path in hexadecimal. A bit set has a second
// part behind a comma: the patterns that match from the first character of the path on.
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
)

const longest = 6

func main() {
	paths := paths()
	input := bufio.NewReaderSize(os.Stdin, 1<<20)
	output := bufio.NewWriterSize(os.Stdout, 1<<20)
	defer output.Flush()
	for {
		line, err := input.ReadString('\n')
		if err != nil {
			return
		}
		fmt.Fprintln(output, answer(strings.Split(strings.TrimSuffix(line, "\n"), " "), paths))
	}
}

func answer(fields []string, paths []string) string {
	var anywhere, start []*regexp.Regexp
	for len(fields) > 0 && fields[0] != "-" {
		source := text(fields[0])
		anywhere = append(anywhere, regexp.MustCompile(source))
		start = append(start, regexp.MustCompile(`\A(?:`+source+`)`))
		fields = fields[1:]
	}
	set := func(path string) string {
		return fmt.Sprintf("%x,%x", bits(anywhere, path), bits(start, path))
	}
	var given, every []string
	for _, field := range fields[1:] {
		given = append(given, set(text(field)))
	}
	seen := map[string]bool{}
	for _, path := range paths {
		set := set(path)
		if !seen[set] {
			seen[set] = true
			every = append(every, set+":"+hex.EncodeToString([]byte(path)))
		}
	}
	return strings.Join(given, " ") + "|" + strings.Join(every, " ")
}

func bits(patterns []*regexp.Regexp, path string) uint {
	var set uint
	for number, pattern := range patterns {
		if pattern.MatchString(path) {
			set |= 1 << number
		}
	}
	return set
}

// Every clean relative path, the shortest first.
func paths() []string {
	var all []string
	last := []string{""}
	for range longest {
		var next []string
		for _, path := range last {
			for _, character := range "ab./" {
				next = append(next, path+string(character))
			}
		}
		for _, path := range next {
			if isClean(path) {
				all = append(all, path)
			}
		}
		last = next
	}
	return all
}

func isClean(path string) bool {
	for _, part := range strings.Split(path, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}

func text(field string) string {
	decoded, err := hex.DecodeString(field)
	if err != nil {
		panic(err)
	}
	return string(decoded)
}
