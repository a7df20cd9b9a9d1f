// Rules answers what sops' own configuration package makes of rules and paths.
//
// Each line of standard input holds fields in hexadecimal, separated by blanks: the text of a .sops.yaml and any number of
// absolute paths. The file is taken to lie in the directory that is the only argument. Each line of output is a JSON
// list with one element for each path: null where sops acts as if there were no file, {"error": …}, or what the
// selected rule says.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/getsops/sops/v3/config"
)

type answer struct {
	Error                   string     `json:"error,omitempty"`
	KeyGroups               [][]string `json:"key_groups"`
	ShamirThreshold         int        `json:"shamir_threshold"`
	UnencryptedSuffix       string     `json:"unencrypted_suffix"`
	EncryptedSuffix         string     `json:"encrypted_suffix"`
	UnencryptedRegex        string     `json:"unencrypted_regex"`
	EncryptedRegex          string     `json:"encrypted_regex"`
	UnencryptedCommentRegex string     `json:"unencrypted_comment_regex"`
	EncryptedCommentRegex   string     `json:"encrypted_comment_regex"`
	MACOnlyEncrypted        bool       `json:"mac_only_encrypted"`
}

func main() {
	file := filepath.Join(os.Args[1], ".sops.yaml")
	input := bufio.NewReaderSize(os.Stdin, 1<<20)
	output := bufio.NewWriterSize(os.Stdout, 1<<20)
	defer output.Flush()
	for {
		line, err := input.ReadString('\n')
		if err != nil {
			return
		}
		fields := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if err := os.WriteFile(file, text(fields[0]), 0o600); err != nil {
			panic(err)
		}
		answers := make([]*answer, 0, len(fields))
		for _, field := range fields[1:] {
			answers = append(answers, ask(file, string(text(field))))
		}
		encoded, err := json.Marshal(answers)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(output, "%s\n", encoded)
	}
}

func ask(file, path string) (given *answer) {
	defer func() {
		if crash := recover(); crash != nil {
			given = &answer{Error: fmt.Sprint("crash: ", crash)}
		}
	}()
	rule, err := config.LoadCreationRuleForFile(file, path, nil)
	if err != nil {
		return &answer{Error: err.Error()}
	}
	if rule == nil {
		return nil
	}
	groups := [][]string{}
	for _, group := range rule.KeyGroups {
		texts := []string{}
		for _, key := range group {
			texts = append(texts, key.TypeToIdentifier()+" "+key.ToString())
		}
		groups = append(groups, texts)
	}
	return &answer{
		KeyGroups:               groups,
		ShamirThreshold:         rule.ShamirThreshold,
		UnencryptedSuffix:       rule.UnencryptedSuffix,
		EncryptedSuffix:         rule.EncryptedSuffix,
		UnencryptedRegex:        rule.UnencryptedRegex,
		EncryptedRegex:          rule.EncryptedRegex,
		UnencryptedCommentRegex: rule.UnencryptedCommentRegex,
		EncryptedCommentRegex:   rule.EncryptedCommentRegex,
		MACOnlyEncrypted:        rule.MACOnlyEncrypted,
	}
}

func text(field string) []byte {
	decoded, err := hex.DecodeString(field)
	if err != nil {
		panic(err)
	}
	return decoded
}
