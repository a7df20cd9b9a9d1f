# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_secretsctl_global_optspecs
    string join \n C/directory= config-file= i/identity= yubikey= socket= json color= v/verbose q/quiet h/help V/version
end

function __fish_secretsctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_secretsctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_secretsctl_using_subcommand
    set -l cmd (__fish_secretsctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c secretsctl -n "__fish_secretsctl_needs_command" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_needs_command" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_needs_command" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_needs_command" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_needs_command" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_needs_command" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_needs_command" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -s V -l version -d 'Print version'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "access" -d 'Show who can read what, by the files as they are and by the rules; needs no private key'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "approve" -d 'Let the daemon do the re-key that it holds'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "check" -d 'Prove the order of the rules and compare every file with its rule; needs no private key'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "completion" -d 'Print a completion script for a shell'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "decrypt" -d 'Print the plaintext of an encrypted file: its text with the values opened and the metadata cut out'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "edit" -d 'Edit an encrypted file, or a new one, in $SOPS_EDITOR, $EDITOR or $VISUAL'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "encrypt" -d 'Encrypt a file to the recipients of its creation rule, or to those given'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "explain" -d 'Show which creation rule a path gets, why not the ones before, and what a re-key would change'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "exposed" -d 'List the values that a removed recipient could read and that have not changed since'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "host" -d 'Add, list, rename, re-key, retire and test the hosts of the rules'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "identity" -d 'Show which identities would be used, in the order in which they are tried'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "list" -d 'List the secrets: name, path, state, age of the state, source file'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "lock" -d 'Make the daemon forget the data keys that were unlocked'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "man" -d 'Print a manual page'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "metrics" -d 'Print the daemon\'s state as metrics of Prometheus'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "pending" -d 'Show the re-key that the daemon holds for a person; exit code 1 when there is one'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "rekey" -d 'Make files obey the rules: wrap data keys for new recipients, rotate where somebody loses access'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "reload" -d 'Read configuration, identities and repository again; exit code 1 when a secret is degraded'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "set" -d 'Set one value in an encrypted file; everything else in it stays as it is written'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "status" -d 'Show how the daemon is; exit code 1 when it is not ok'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "unlock" -d 'Unlock the daemon\'s identities that need a PIN, a touch or a passphrase, asking on this terminal'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "unset" -d 'Remove one key or element from an encrypted file; everything else in it stays as it is written'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "wait" -d 'Wait until secrets are delivered; exit code 1 on a time-out, or when one is degraded'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "yubikey" -d 'Show the keys in YubiKeys, write their identities, make new ones'
complete -c secretsctl -n "__fish_secretsctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand access" -l by -d 'List by file (each with its recipients) or by recipient (each with its files) [default: file; with RECIPIENT, recipient]' -r -f -a "file\t'Each file with its recipients'
recipient\t'Each recipient with its files'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand access" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand access" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand access" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand access" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand access" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand access" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand access" -l csv -d 'Write a table of files and recipients as comma-separated values'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand access" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand access" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand access" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand access" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand approve" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand approve" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand approve" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand approve" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand approve" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand approve" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand approve" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand approve" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand approve" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand approve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand check" -l since -d 'Tell only about files that changed since REF and HEAD parted, or for which the rules did' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand check" -l format -d 'How findings are written: human, json (as with --json), sarif (2.1.0) or github (annotations of its Actions) [default: human]' -r -f -a "human\t'For people'
json\t'One JSON value, as with --json'
sarif\t'SARIF 2.1.0'
github\t'Annotations of GitHub Actions'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand check" -l deny -d 'Exit with 1 for findings of this kind, too' -r -f -a "warnings\t'Warnings'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand check" -l explain -d 'Print what a finding means, why it matters and how to repair it, and check nothing' -r -f -a "unreachable-rule\t''
overlapping-rules\t''
rule-matches-nothing\t''
catch-all-not-last\t''
rule-matches-no-file\t''
unescaped-dot\t''
unanchored-pattern\t''
no-catch-all\t''
not-analysed\t''
unknown-key\t''
duplicate-key\t''
ignored-key\t''
invalid-pattern\t''
invalid-recipient\t''
melted-recipients\t''
duplicate-recipient\t''
unused-recipient\t''
unexpected-key-group\t''
threshold-too-low\t''
absolute-pattern\t''
private-key-in-rules\t''
threshold-out-of-range\t''
conflicting-settings\t''
empty-rule\t''
dropped-rule\t''
wrong-file-name\t''
nested-rules\t''
drift\t''
no-rule\t''
plaintext-file\t''
plaintext-value\t''
unencrypted-key-material\t''
broken-metadata\t''
mac-missing\t''
merge-conflict\t''
outdated-sops-version\t''
untracked-file\t''
ignored-file\t''
world-readable-identity\t''
duplicate-data-key\t''
invalid-suppression\t''
unused-suppression\t''"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand check" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand check" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand check" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand check" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand check" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand check" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand check" -l staged -d 'Look at what is staged in Git, rules and files, and tell about what differs from HEAD'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand check" -l fix -d 'Put the rules in the order that repairs unreachable rules, in place; shows the change first'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand check" -l dry-run -d 'With --fix: show the change, and write nothing'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand check" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand check" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand check" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand completion" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand completion" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand completion" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand completion" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand completion" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand completion" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand completion" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand completion" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand completion" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand completion" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand decrypt" -l extract -d 'Print only what is at this place, for example \'["database"]["hosts"][0]\'' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand decrypt" -l input-type -d 'Read the file as yaml, json, dotenv, ini or binary [default: what its name says]' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand decrypt" -l output -d 'Write to FILE in one step, readable by its owner only, instead of to stdout' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand decrypt" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand decrypt" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand decrypt" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand decrypt" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand decrypt" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand decrypt" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand decrypt" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand decrypt" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand decrypt" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand decrypt" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand edit" -l input-type -d 'Read the file as yaml, json, dotenv, ini or binary [default: what its name says]' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand edit" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand edit" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand edit" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand edit" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand edit" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand edit" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand edit" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand edit" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand edit" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand edit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -l age -d 'Encrypt to these age recipients, separated by commas, instead of those of the creation rule' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -l filename-override -d 'Choose creation rule and format as if the file had this name' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -l input-type -d 'Read the file as yaml, json, dotenv, ini or binary [default: what its name says]' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -l output -d 'Write to FILE in one step instead of to stdout' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -l encrypted-suffix -d 'Encrypt only what is below keys with this ending' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -l unencrypted-suffix -d 'Leave in clear what is below keys with this ending' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -l encrypted-regex -d 'Encrypt only what is below keys that match' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -l unencrypted-regex -d 'Leave in clear what is below keys that match' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -l encrypted-comment-regex -d 'Encrypt only what follows comments that match' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -l unencrypted-comment-regex -d 'Leave in clear what follows comments that match' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -l in-place -d 'Replace the file itself, in one step'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -l mac-only-encrypted -d 'Have the MAC cover encrypted values only'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand encrypt" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand explain" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand explain" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand explain" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand explain" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand explain" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand explain" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand explain" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand explain" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand explain" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand explain" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand exposed" -l done -d 'Take the values of this file off the list, although they have not changed' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand exposed" -l key -d 'Only the value at this path, written as for sops set (repeatable)' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand exposed" -l reason -d 'Why that is right; it is kept in the list' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand exposed" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand exposed" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand exposed" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand exposed" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand exposed" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand exposed" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand exposed" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand exposed" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand exposed" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand exposed" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and not __fish_seen_subcommand_from add list rename replace retire test help" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and not __fish_seen_subcommand_from add list rename replace retire test help" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and not __fish_seen_subcommand_from add list rename replace retire test help" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and not __fish_seen_subcommand_from add list rename replace retire test help" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and not __fish_seen_subcommand_from add list rename replace retire test help" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and not __fish_seen_subcommand_from add list rename replace retire test help" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and not __fish_seen_subcommand_from add list rename replace retire test help" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and not __fish_seen_subcommand_from add list rename replace retire test help" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and not __fish_seen_subcommand_from add list rename replace retire test help" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and not __fish_seen_subcommand_from add list rename replace retire test help" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and not __fish_seen_subcommand_from add list rename replace retire test help" -f -a "add" -d 'Add a host to the rules, beside another one, and re-key with --rekey'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and not __fish_seen_subcommand_from add list rename replace retire test help" -f -a "list" -d 'List the hosts: name, rules that name it, encrypted files that it can read, recipient'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and not __fish_seen_subcommand_from add list rename replace retire test help" -f -a "rename" -d 'Give a host another name'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and not __fish_seen_subcommand_from add list rename replace retire test help" -f -a "replace" -d 'Give a host another key, wherever its old one is written'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and not __fish_seen_subcommand_from add list rename replace retire test help" -f -a "retire" -d 'Take hosts out of all rules and out of the list of keys'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and not __fish_seen_subcommand_from add list rename replace retire test help" -f -a "test" -d 'Test whether a host can open all that the rules give it, by the files as they are; needs no private key'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and not __fish_seen_subcommand_from add list rename replace retire test help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from add" -l from -d 'Add all hosts of this file, or of standard input (-): lines `NAME RECIPIENT`, also those of ssh-keyscan' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from add" -l like -d 'Add it to every rule that names this host' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from add" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from add" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from add" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from add" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from add" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from add" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from add" -l rekey -d 'Then make the files obey the rules: rules and files change together, or not at all'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from add" -l dry-run -d 'Show what would change, and change nothing'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from add" -s y -l yes -d 'Do not ask'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from add" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from add" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from add" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from list" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from list" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from list" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from list" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from list" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from list" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from list" -l all -d 'List also keys in groups of people (users, admins, people)'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from list" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from rename" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from rename" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from rename" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from rename" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from rename" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from rename" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from rename" -l dry-run -d 'Show what would change, and change nothing'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from rename" -s y -l yes -d 'Do not ask'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from rename" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from rename" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from rename" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from rename" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from replace" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from replace" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from replace" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from replace" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from replace" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from replace" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from replace" -l rekey -d 'Then make the files obey the rules: rules and files change together, or not at all'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from replace" -l dry-run -d 'Show what would change, and change nothing'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from replace" -s y -l yes -d 'Do not ask'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from replace" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from replace" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from replace" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from replace" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from retire" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from retire" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from retire" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from retire" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from retire" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from retire" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from retire" -l rekey -d 'Then make the files obey the rules: rules and files change together, or not at all'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from retire" -l dry-run -d 'Show what would change, and change nothing'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from retire" -s y -l yes -d 'Do not ask'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from retire" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from retire" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from retire" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from retire" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from test" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from test" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from test" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from test" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from test" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from test" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from test" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from test" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from test" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from help" -f -a "add" -d 'Add a host to the rules, beside another one, and re-key with --rekey'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the hosts: name, rules that name it, encrypted files that it can read, recipient'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from help" -f -a "rename" -d 'Give a host another name'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from help" -f -a "replace" -d 'Give a host another key, wherever its old one is written'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from help" -f -a "retire" -d 'Take hosts out of all rules and out of the list of keys'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from help" -f -a "test" -d 'Test whether a host can open all that the rules give it, by the files as they are; needs no private key'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand host; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and not __fish_seen_subcommand_from show check help" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and not __fish_seen_subcommand_from show check help" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and not __fish_seen_subcommand_from show check help" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and not __fish_seen_subcommand_from show check help" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and not __fish_seen_subcommand_from show check help" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and not __fish_seen_subcommand_from show check help" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and not __fish_seen_subcommand_from show check help" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and not __fish_seen_subcommand_from show check help" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and not __fish_seen_subcommand_from show check help" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and not __fish_seen_subcommand_from show check help" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and not __fish_seen_subcommand_from show check help" -f -a "show" -d 'List the identities: name, kind, state, recipients'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and not __fish_seen_subcommand_from show check help" -f -a "check" -d 'The same, and which encrypted files of the repository they open, and why not the others'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and not __fish_seen_subcommand_from show check help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from show" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from show" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from show" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from show" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from show" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from show" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from show" -l host -d 'The SSH keys of this host, by their public keys: what a rule has to name so that the host can read'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from show" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from check" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from check" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from check" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from check" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from check" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from check" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from check" -l open -d 'Open every file, with PIN and touches, in place of comparing recipients'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from check" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from help" -f -a "show" -d 'List the identities: name, kind, state, recipients'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from help" -f -a "check" -d 'The same, and which encrypted files of the repository they open, and why not the others'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand identity; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand list" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand list" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand list" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand list" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand list" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand list" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand list" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand list" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand list" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand list" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand lock" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand lock" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand lock" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand lock" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand lock" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand lock" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand lock" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand lock" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand lock" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand lock" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand man" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand man" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand man" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand man" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand man" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand man" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand man" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand man" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand man" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand man" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand metrics" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand metrics" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand metrics" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand metrics" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand metrics" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand metrics" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand metrics" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand metrics" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand metrics" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand metrics" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand pending" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand pending" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand pending" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand pending" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand pending" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand pending" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand pending" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand pending" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand pending" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand pending" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand rekey" -l rotate -d 'When files get a new data key: always, or on-removal of a recipient' -r -f -a "always\t''
on-removal\t''"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand rekey" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand rekey" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand rekey" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand rekey" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand rekey" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand rekey" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand rekey" -l dry-run -d 'Show what would change, and change nothing'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand rekey" -s y -l yes -d 'Do not ask'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand rekey" -l keep-going -d 'Leave files that cannot be changed, and change the others'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand rekey" -l allow-losing-access -d 'Allow a result that none of the identities at hand opens'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand rekey" -l allow-plaintext -d 'Allow encrypted values to become clear text where the rules ask for it'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand rekey" -l daemon -d 'Let the daemon do it to its repository: it looks again, and what it holds for a person is approved'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand rekey" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand rekey" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand rekey" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand rekey" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand reload" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand reload" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand reload" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand reload" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand reload" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand reload" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand reload" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand reload" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand reload" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand reload" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand set" -l input-type -d 'Read the file as yaml, json, dotenv or ini [default: what its name says]' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand set" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand set" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand set" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand set" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand set" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand set" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand set" -l value-file -d 'VALUE is the name of a file that holds the JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand set" -l value-stdin -d 'Read the JSON from stdin'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand set" -l idempotent -d 'Leave the file alone when it has this value at this place'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand set" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand set" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand set" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand status" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand status" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand status" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand status" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand status" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand status" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand status" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand status" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand status" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand status" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unlock" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unlock" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unlock" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unlock" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unlock" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unlock" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unlock" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unlock" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unlock" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unlock" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unset" -l input-type -d 'Read the file as yaml, json, dotenv or ini [default: what its name says]' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unset" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unset" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unset" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unset" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unset" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unset" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unset" -l idempotent -d 'Leave the file alone when there is nothing at this place'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unset" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unset" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unset" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand unset" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand wait" -l timeout -d 'Give up after this many seconds [default: never]' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand wait" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand wait" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand wait" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand wait" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand wait" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand wait" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand wait" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand wait" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand wait" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand wait" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and not __fish_seen_subcommand_from list identity generate help" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and not __fish_seen_subcommand_from list identity generate help" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and not __fish_seen_subcommand_from list identity generate help" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and not __fish_seen_subcommand_from list identity generate help" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and not __fish_seen_subcommand_from list identity generate help" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and not __fish_seen_subcommand_from list identity generate help" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and not __fish_seen_subcommand_from list identity generate help" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and not __fish_seen_subcommand_from list identity generate help" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and not __fish_seen_subcommand_from list identity generate help" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and not __fish_seen_subcommand_from list identity generate help" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and not __fish_seen_subcommand_from list identity generate help" -f -a "list" -d 'List the cards with their keys: slot, name, policies, recipient, identity'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and not __fish_seen_subcommand_from list identity generate help" -f -a "identity" -d 'Write the identity of each key in a card, or of one, as an identity file'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and not __fish_seen_subcommand_from list identity generate help" -f -a "generate" -d 'Make a key in a card and write its identity; a slot that is in use is never overwritten'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and not __fish_seen_subcommand_from list identity generate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from list" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from list" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from list" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from list" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from list" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from list" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from list" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from identity" -l slot -d 'Only the key in this slot, from 1 to 20' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from identity" -l output -d 'Write to FILE, which must not exist, instead of to stdout' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from identity" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from identity" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from identity" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from identity" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from identity" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from identity" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from identity" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from identity" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from identity" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from identity" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from generate" -l slot -d 'In this slot, from 1 to 20 [default: the first free one]' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from generate" -l name -d 'What the key is called' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from generate" -l pin-policy -d 'When the PIN is needed: never, once after the card was plugged in, or always' -r -f -a "never\t'Never'
once\t'Once after it was plugged in'
always\t'Before each use of the key'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from generate" -l touch-policy -d 'When a touch is needed: never, always, or cached for 15 seconds' -r -f -a "never\t'Never'
always\t'For each use of the key'
cached\t'For the first use within 15 seconds'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from generate" -l output -d 'Write the identity to FILE, which must not exist, instead of to stdout' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from generate" -s C -l directory -d 'Run as if started in DIR: every relative path is relative to it' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from generate" -l config-file -d 'Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from generate" -s i -l identity -d 'Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from generate" -l yubikey -d 'Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in' -r
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from generate" -l socket -d 'Talk to the daemon at this socket' -r -F
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from generate" -l color -d 'Use colours: on a terminal (auto), always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set or TERM is "dumb"'
always\t'Always'
never\t'Never'"
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from generate" -l json -d 'Write results to stdout and errors to stderr as JSON'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from generate" -s v -l verbose -d 'Say more'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from generate" -s q -l quiet -d 'Say nothing but errors'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from generate" -s h -l help -d 'Print help'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the cards with their keys: slot, name, policies, recipient, identity'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from help" -f -a "identity" -d 'Write the identity of each key in a card, or of one, as an identity file'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from help" -f -a "generate" -d 'Make a key in a card and write its identity; a slot that is in use is never overwritten'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand yubikey; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "access" -d 'Show who can read what, by the files as they are and by the rules; needs no private key'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "approve" -d 'Let the daemon do the re-key that it holds'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "check" -d 'Prove the order of the rules and compare every file with its rule; needs no private key'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "completion" -d 'Print a completion script for a shell'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "decrypt" -d 'Print the plaintext of an encrypted file: its text with the values opened and the metadata cut out'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "edit" -d 'Edit an encrypted file, or a new one, in $SOPS_EDITOR, $EDITOR or $VISUAL'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "encrypt" -d 'Encrypt a file to the recipients of its creation rule, or to those given'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "explain" -d 'Show which creation rule a path gets, why not the ones before, and what a re-key would change'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "exposed" -d 'List the values that a removed recipient could read and that have not changed since'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "host" -d 'Add, list, rename, re-key, retire and test the hosts of the rules'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "identity" -d 'Show which identities would be used, in the order in which they are tried'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "list" -d 'List the secrets: name, path, state, age of the state, source file'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "lock" -d 'Make the daemon forget the data keys that were unlocked'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "man" -d 'Print a manual page'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "metrics" -d 'Print the daemon\'s state as metrics of Prometheus'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "pending" -d 'Show the re-key that the daemon holds for a person; exit code 1 when there is one'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "rekey" -d 'Make files obey the rules: wrap data keys for new recipients, rotate where somebody loses access'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "reload" -d 'Read configuration, identities and repository again; exit code 1 when a secret is degraded'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "set" -d 'Set one value in an encrypted file; everything else in it stays as it is written'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "status" -d 'Show how the daemon is; exit code 1 when it is not ok'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "unlock" -d 'Unlock the daemon\'s identities that need a PIN, a touch or a passphrase, asking on this terminal'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "unset" -d 'Remove one key or element from an encrypted file; everything else in it stays as it is written'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "wait" -d 'Wait until secrets are delivered; exit code 1 on a time-out, or when one is degraded'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "yubikey" -d 'Show the keys in YubiKeys, write their identities, make new ones'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and not __fish_seen_subcommand_from access approve check completion decrypt edit encrypt explain exposed host identity list lock man metrics pending rekey reload set status unlock unset wait yubikey help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and __fish_seen_subcommand_from host" -f -a "add" -d 'Add a host to the rules, beside another one, and re-key with --rekey'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and __fish_seen_subcommand_from host" -f -a "list" -d 'List the hosts: name, rules that name it, encrypted files that it can read, recipient'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and __fish_seen_subcommand_from host" -f -a "rename" -d 'Give a host another name'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and __fish_seen_subcommand_from host" -f -a "replace" -d 'Give a host another key, wherever its old one is written'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and __fish_seen_subcommand_from host" -f -a "retire" -d 'Take hosts out of all rules and out of the list of keys'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and __fish_seen_subcommand_from host" -f -a "test" -d 'Test whether a host can open all that the rules give it, by the files as they are; needs no private key'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and __fish_seen_subcommand_from identity" -f -a "show" -d 'List the identities: name, kind, state, recipients'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and __fish_seen_subcommand_from identity" -f -a "check" -d 'The same, and which encrypted files of the repository they open, and why not the others'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and __fish_seen_subcommand_from yubikey" -f -a "list" -d 'List the cards with their keys: slot, name, policies, recipient, identity'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and __fish_seen_subcommand_from yubikey" -f -a "identity" -d 'Write the identity of each key in a card, or of one, as an identity file'
complete -c secretsctl -n "__fish_secretsctl_using_subcommand help; and __fish_seen_subcommand_from yubikey" -f -a "generate" -d 'Make a key in a card and write its identity; a slot that is in use is never overwritten'
