//! Random `.sops.yaml` files, heavy on what sops reads in a way of its own.

use super::random::Random;

/// Recipients; the private keys were thrown away.
const GOOD: &[&str] = &[
    "age1zrqfeey2e9affa2qsms5ss5vxp5ym72y4vtpsy7fl783pu7qj4esj7t43l",
    "age1jcre6e7a2xmfsd5g69skxqqgxhflzss874f5lejjs6mhhj94xeeq4ndtvs",
    "age13fy9jlfpnf958p4f5thsj95g4r3hm248djq6j4d504nswcmqw9xshy25ms",
    "age13rjcdmq2aa9ncf878999n7qen5rhmayq5y775kf5aw0c8e32lcqs93p95n",
    "age1f6fn477dqz62dssl8ks0nulrfjlcaflw7yexlhakg26yrqqn9dsqt6g4fm",
    "age17q455jz37wwvw5zgs6lztdcj0dfx3krmceuqlx23xnuema9ksgns3x4hwv",
    "age1ulx0xhv84z2l7rtsvady7rxa5t7aey4vxwlmm8rn6f9wdmy7fq4qzlg2dw",
    "age1f8nu78mdp9rtkev03zahrlwfszs2plexrcnlkh2qcjpa47sm65vscatxsj",
    "age1yubikey1q8w4ur23clxd5mzfsh79vn6pg0kaytjeq8w4ur23clxd5mzfsh79vn6qyqe8eh",
    "age1tag1q9205e7rgdjhupxts46lyfwncaz8v3kmq9205e7rgdjhupxts46lsutspnn",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFbfFvNJxHVMr8eoSJme5OJEvudwPlCbjhZOhmTADRhu a@b c",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFbfFvNJxHVMr8eoSJme5OJEvudwPlCbjhZOhmTADRhu",
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDWzS9mo/QDhChGfbR0bNZqHeVVgW/vBPhybVHDV49Sxo7MfvUGw1Hpx5/1fjTfdcC4y6OTzhKsS6uKzjpot3Vic5rFlF9LaFRBuq+CFN8jFbhPttkgMWRb+ghy03K+n8TOzdjqO3BbHp8AIaKC8ZsFra58ydw1yaLP4c86/55NmrN8JE75vUPp/186juPoymnEDHbaGbxmKInXWkoDADROthqw2xUhON3PJy8hj8Oq54IoNQvS68hm76mVm2flsrOt4XSv9p0vanHbHU1pPALoxb04QA391hrmcsVZd5jxHa60Exf3HfTMXaxG4G381A2PpG51h/PWF/qU2iaC1cON",
];

/// What sops refuses, or takes only sometimes.
const BAD: &[&str] = &[
    "age1xyz",
    "age1pppppppp3ehntw",
    "age1a@b1pppppppp35nugq",
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC4hpuY3FR5a/yzWgxDIQmZz5A8kXi7YcoYDGwRX/gIbta1gDmNktM1Nxd88bYoCFFnBhrarADqJopNrVGUSkYDc0m/ZzDPuKxVg0csHEwsEC3TeY/A4N7ituyYHaplVP/I5IAM/zfWiPqQlcQYtudMj80iwIDIdXo8z5FAp+bA/w==",
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFztwiIwaXSmm8QyfZ9WJVlrGZtnbln7bKn2PoniSdaHWeV/vBd2foE7Yiac5jhVy8JmB+C2hQ49AHMfRuahpJU=",
    "ssh-ed25519",
    "ssh-ed25519 AAAA",
    "AGE-SECRET-KEY-1QQQ",
    "age1",
    "age1pq1qqq",
    "foo",
    "age1zrqfeey2e9affa2qsms5ss5vxp5ym72y4vtpsy7fl783pu7qj4esj7t43q",
    "AGE1ZRQFEEY2E9AFFA2QSMS5SS5VXP5YM72Y4VTPSY7FL783PU7QJ4ESJ7T43L",
    "Age1zrqfeey2e9affa2qsms5ss5vxp5ym72y4vtpsy7fl783pu7qj4esj7t43l",
    "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIFbfFvNJxHVMr8eoSJme5OJEvudwPlCbjhZOhmTADRhu",
    "ssh-foo ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFbfFvNJxHVMr8eoSJme5OJEvudwPlCbjhZOhmTADRhu a@b c",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFbgFvNJxHVMr8eoSJme5OJEvudwPlCbjhZOhmTADRhu a@b c",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbfFvNJxHVMr8eoSJme5OJEvudwPlCbjhZOhmTADRhu a@b c",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFbfFvNJxHVMr8eoSJme5OJEvudwPlCbjhZOhmTBDRhu a@b c",
];

const PATTERNS: &[&str] = &[
    r"\.yaml$",
    r"^a/",
    r"^secrets/[^/]+\.yaml$",
    r"secrets/server1/.*",
    r"^a/b\.yaml$",
    "a.b",
    "^$",
    r"\d+",
    r"(?i)SECRET",
    r"^[^/]*$",
    r"^/",
    r"^secrets/(server1|common)/",
    r"server[12]",
    r"\.(yaml|json|env)$",
    r"a{2}",
    r"a{,2}",
    r"\bprod\b",
    r"[[:alpha:]]+/x",
    r"\Qa.b\E",
    "é",
    r"^\w+/",
    r"(?P<n>a)",
    r"\pL",
    ".*",
    "$",
    "b|c",
    r"^secrets/\w+\.yaml",
    r"^secrets/é",
    r"\x{41}",
    r"[^\d]x",
    r"yaml\n",
    // Bad ones.
    r"[",
    r"(",
    r"a**",
    r"\p{Foo}",
    r"x{1001}",
];

const TAME_PATTERNS: usize = PATTERNS.len() - 5;

const PARTS: &[&str] = &[
    "a",
    "b",
    "b.yaml",
    "secrets",
    "server1",
    "server2",
    "common",
    "x.yaml",
    "prod",
    "a.b",
    "aa",
    "1",
    "SECRET.json",
    "é.yaml",
    "x.env",
    "main.yaml",
];

/// A path below `root`, or elsewhere.
pub(super) fn path(random: &mut Random, root: &str) -> String {
    let parts: Vec<_> = (0..1 + random.below(3))
        .map(|_| random.pick(PARTS))
        .collect();
    let relative = parts.join("/");
    match random.below(12) {
        0 => format!("/{relative}"),
        1 => format!("{root}x/{relative}"),
        2 => root.to_owned(),
        _ => format!("{root}/{relative}"),
    }
}

pub(super) fn config(random: &mut Random) -> String {
    random.wild = random.one_in(3);
    let mut out = String::new();
    if random.rare(20) {
        out.push_str(random.pick(&[
            "---\n",
            "# rules\n",
            "\u{feff}",
            "%YAML 1.1\n---\n",
            "%YAML 1.2\n---\n",
            "\n\n",
        ]));
    }
    out.push_str("keys:\n");
    for (number, recipient) in GOOD.iter().enumerate().take(6) {
        out.push_str(&format!("  - &k{number} {recipient}\n"));
    }
    out.push_str(&format!("  - &list [*k0, {}]\n  - &none ~\n", GOOD[7]));
    out.push_str(&format!(
        "  - &base\n    pgp: {}\n    age: *k1\n",
        "85D77543B3D624B63CEA9E6DBC17301B491B3F21"
    ));
    out.push_str(&format!(
        "  - &more {{unencrypted_suffix: _x, pgp: FF, <<: *base, mac_only_encrypted: {}}}\n",
        bool_text(random)
    ));
    out.push_str(&format!(
        "  - &group\n    age:\n      - *k2\n      - {}\n",
        GOOD[5]
    ));
    out.push_str("  - &rule {path_regex: ^a/, age: *k3}\n");
    if random.rare(12) {
        out.push_str(random.pick(&[
            "stores: {yaml: {indent: 2}}\n",
            "stores: {yaml: {indent: two}}\n",
            "stores: ~\n",
            "stores: []\n",
            "stores: {json: ~}\n",
            "destination_rules: [{s3_bucket: x, path_regex: 1}]\n",
            "destination_rules: [{omit_extensions: maybe}]\n",
            "destination_rules: x\n",
            "unknown: {a: 1, a: 2}\n",
            "other: [*k0, {b: *list}]\n",
            "keys2: &x [*k1]\n",
            "dotted: &a.b 1\n",
            "? [a]\n: b\n",
            "12: x\n",
            "~: x\n",
            "stores: {dotenv: {a: 1}, ini: x}\n",
            "stores: {yaml: {indent: 2.9}, yaml: {indent: 3}}\n",
        ]));
    }
    if random.rare(40) {
        out.push_str(random.pick(&[
            "creation_rules:\n",
            "creation_rules: []\n",
            "creation_rules: x\n",
            "creation_rules: {a: b}\n",
            "creation_rules: [~]\n",
            "",
        ]));
        return out;
    }
    out.push_str("creation_rules:\n");
    for _ in 0..1 + random.below(5) {
        match random.below(24) {
            0 => out.push_str("  -\n"),
            1 => out.push_str(random.tame(
                &[
                    "  - *rule\n",
                    "  - *none\n",
                    "  - ~\n",
                    "  - *base\n",
                    "  - *more\n",
                    "  - null\n",
                    "  - {}\n",
                ],
                7,
            )),
            2 if random.rare(6) => out.push_str(random.pick(&[
                "  - x\n",
                "  - [a]\n",
                "  - *list\n",
                "  - *nothing\n",
            ])),
            _ => rule(random, &mut out),
        }
    }
    if random.rare(10) {
        out.push_str(random.pick(&[
            "---\na: [\n",
            "---\ncreation_rules: x\n",
            "...\n",
            "keys: 1\n",
            "# end",
            "  x: y\n",
            "creation_rules: []\n",
        ]));
    }
    out
}

fn rule(random: &mut Random, out: &mut String) {
    let mut fields = Vec::new();
    if !random.one_in(6) {
        fields.push(format!("path_regex: {}", pattern(random)));
    }
    match random.below(8) {
        0 => {}
        1 | 2 => groups(random, &mut fields),
        _ => flat(random, &mut fields),
    }
    if random.one_in(12) {
        groups(random, &mut fields);
    }
    if random.one_in(5) {
        fields.push(format!(
            "shamir_threshold: {}",
            random.tame(
                &[
                    "1",
                    "2",
                    "3",
                    "0",
                    "2.0",
                    "2.5",
                    "-1",
                    "0x2",
                    "1e1",
                    "~",
                    "",
                    "!!int 2",
                    "1_0",
                    "010",
                    "two",
                    "\"2\"",
                    "9223372036854775808",
                    ".inf",
                    "true"
                ],
                14
            )
        ));
    }
    for selection in [
        "unencrypted_suffix",
        "encrypted_suffix",
        "unencrypted_regex",
        "encrypted_regex",
        "unencrypted_comment_regex",
        "encrypted_comment_regex",
    ] {
        if random.one_in(20) {
            fields.push(format!(
                "{selection}: {}",
                random.pick(&[
                    "_x",
                    "'^a'",
                    "\"\"",
                    "~",
                    "12",
                    "true",
                    "[",
                    "^(a|b)$",
                    "2020-01-01",
                    "|\n      x",
                    "''"
                ])
            ));
        }
    }
    if random.one_in(10) {
        fields.push(format!("mac_only_encrypted: {}", bool_text(random)));
    }
    if random.one_in(10) {
        fields.push(
            random
                .tame(
                    &[
                        "<<: *base",
                        "<<: [*more, *base]",
                        "<<: *rule",
                        "<<: {age: *k5, path_regex: b}",
                        "\"<<\": *base",
                        "<<: [*base, {pgp: EE}]",
                        "!!merge <<: *base",
                        "<<: *more",
                        "<<: *none",
                        "<<: x",
                        "<<: [*list]",
                    ],
                    8,
                )
                .to_owned(),
        );
    }
    if random.one_in(10) {
        fields.push(
            random
                .tame(
                    &[
                        "path_regexp: x",
                        "agee: [1, {a: b, a: c}]",
                        "12: x",
                        "x-note: {deep: [1, 2]}",
                        "~: x",
                        "true: y",
                        "*k0 : x",
                        "aws_profile: dev",
                        "name: &n x",
                        "age: ''",
                        "pgp: ~",
                        "[a]: b",
                    ],
                    9,
                )
                .to_owned(),
        );
    }
    // Any order.
    for at in (1..fields.len()).rev() {
        fields.swap(at, random.below(at + 1));
    }
    if fields.is_empty() {
        fields.push("note: empty".to_owned());
    }
    let anchor = if random.one_in(10) {
        "&local\n    "
    } else {
        ""
    };
    out.push_str(&format!("  - {anchor}{}\n", fields.join("\n    ")));
}

fn pattern(random: &mut Random) -> String {
    let pattern = random.tame(PATTERNS, TAME_PATTERNS);
    match random.below(10) {
        0 => format!("\"{}\"", pattern.replace('\\', "\\\\")),
        1 => format!("|\n      {pattern}"),
        2 => format!(">-\n      {pattern}"),
        3 => random
            .tame(
                &[
                    "''",
                    "~",
                    "",
                    "12",
                    "1.5",
                    "true",
                    "yes",
                    "2020-01-01",
                    "!!str 12",
                    "!foo x",
                    "!!binary Xg==",
                    "*k0",
                    "*none",
                    "0x1F",
                    "!!binary x",
                    "[a]",
                    "{a: b}",
                    "!!int x",
                ],
                14,
            )
            .to_owned(),
        _ => format!("'{}'", pattern.replace('\'', "''")),
    }
}

fn flat(random: &mut Random, fields: &mut Vec<String>) {
    fields.push(format!("age: {}", age(random)));
    let others: &[(&str, &[&str])] = &[
        (
            "pgp",
            &[
                "85D77543B3D624B63CEA9E6DBC17301B491B3F21, FF EE",
                "1234",
                "'1234'",
                "[FF, '']",
                "12E4",
                "~",
                "[AB CD, 'a,b']",
            ],
        ),
        (
            "kms",
            &[
                "arn:aws:kms:us-east-1:1:key/a",
                "'arn:aws:kms:x:1:key/a+arn:aws:iam::1:role/r, arn:aws:kms:y:1:key/b'",
                "[]",
                "['']",
                "['', x]",
                "+arn:x",
                "[a b]",
                "{a: b}",
            ],
        ),
        (
            "gcp_kms",
            &[
                "projects/p/locations/global/keyRings/r/cryptoKeys/k",
                "[a, b c]",
                "1",
                "''",
            ],
        ),
        (
            "hckms",
            &[
                "[tr-west-1:abc]",
                "['a:b,c:d', ' e:f ']",
                "x:y",
                "[x]",
                "['']",
                "[~, a:b]",
                "[1, a:b]",
                "~",
                "[':b']",
            ],
        ),
        (
            "azure_keyvault",
            &[
                "https://v.vault.azure.net/keys/k/1",
                "[https://v/keys/k/1, 'https://w/keys/l/2']",
                "http://v/keys/k/1",
                "https://v/keys//1",
                "'https://v/keys/k/1,'",
                "['https://v/keys/k/1', '']",
                "x",
            ],
        ),
        (
            "hc_vault_transit_uri",
            &[
                "https://vault:8200/v1/transit/keys/k",
                "[https://v/v1/a/b/keys/k, https://w/v1/t/keys/l/]",
                "vault/v1/t/keys/k",
                "https://v/x/v1/t/keys/k",
                "https://v/v1/t/keys",
                "['https://v/v1/t/keys/k', '']",
                "https://v:x/v1/t/keys/k",
                "http://u@v/v1/t/keys/k?a=b#c",
                "'https://v/v1/t/keys/k k'",
                "HTTP://V/v12/../t/keys/k%41",
                "https://v/v1//keys/k",
                "https://v/v1/t/keys/%zz",
                "https://v/v1/t/q/keys/é",
                "https://[::1]:8/v1/t/keys/k",
            ],
        ),
        ("aws_profile", &["dev", "''", "~", "1", "[a]"]),
    ];
    for (name, values) in others {
        if random.one_in(12) {
            fields.push(format!("{name}: {}", random.tame(values, 1)));
        }
    }
}

fn age(random: &mut Random) -> String {
    let one = recipient(random);
    let two = recipient(random);
    match random.below(if random.wild { 20 } else { 8 }) {
        0 => format!("{one},{two}"),
        1 => format!(">-\n      {one},\n      {two}"),
        2 => format!("|\n      {one},\n      {two},\n"),
        3 => format!("*k{}", random.below(6)),
        4 => format!("\n      - {one}\n      - {two}\n      - {one}"),
        5 => format!("[*k0, \"{two}\", *k1]"),
        6 => format!("['{one},{two}', ' {two} ']"),
        7 => format!("'{one}, ,{two},'"),
        8 => format!("['{one}', '']"),
        9 => random
            .pick(&[
                "~",
                "''",
                "[]",
                "['']",
                "['', '']",
                "12",
                "[12]",
                "[~]",
                "{a: b}",
                "yes",
                "[[a]]",
                "*list",
                "*none",
                "*base",
                "2020-01-01",
                "!!binary Zm9v",
                "{a: 1, a: 2}",
                "{[a]: b}",
                "','",
                "' , '",
            ])
            .to_owned(),
        10 => format!("[{two}, *list]"),
        11 => format!("|\n      {one}\n      {two}"),
        12 => format!("\"{one},\\n{two}\""),
        13 => format!(">-\n      {one}\n      {two}"),
        14 => "*list".to_owned(),
        _ => one,
    }
}

fn recipient(random: &mut Random) -> String {
    if random.rare(12) {
        let mut text: Vec<char> = random.pick(GOOD).chars().collect();
        match random.below(3) {
            0 => {
                let at = random.below(text.len());
                text[at] = random.pick(&['q', 'A', '1', '/', 'z', '0', 'b']);
            }
            1 => _ = text.remove(random.below(text.len())),
            _ => text.truncate(random.below(text.len()) + 1),
        }
        return text.into_iter().collect::<String>().trim().to_owned();
    }
    if random.rare(30) {
        random.pick(BAD).to_owned()
    } else {
        random.pick(GOOD).to_owned()
    }
}

fn groups(random: &mut Random, fields: &mut Vec<String>) {
    if random.one_in(8) {
        fields.push(format!(
            "key_groups: {}",
            random.tame(
                &[
                    "[]",
                    "~",
                    "[~]",
                    "[*group]",
                    "[*group, ~, *group]",
                    "[{}]",
                    "[{age: [*k0, *k0]}, {age: *list}]",
                    "[{age: *k0}]",
                    "x",
                    "{age: [x]}"
                ],
                7
            )
        ));
        return;
    }
    let mut text = "key_groups:".to_owned();
    for _ in 0..1 + random.below(3) {
        text.push_str("\n      - ");
        group(random, &mut text, "        ", 2);
    }
    fields.push(text);
}

fn group(random: &mut Random, text: &mut String, indent: &str, depth: usize) {
    let mut fields = Vec::new();
    if !random.one_in(4) {
        let list: Vec<_> = (0..random.below(4))
            .map(|_| match random.below(8) {
                0 => "*k0".to_owned(),
                1 => format!("'{},{}'", recipient(random), recipient(random)),
                2 => random.pick(&["''", "~", "*k1"]).to_owned(),
                _ => format!("'{}'", recipient(random)),
            })
            .collect();
        fields.push(format!("age: [{}]", list.join(", ")));
    }
    let others: &[&str] = &[
        "pgp: [FF, F F, ~, 12]",
        "kms: [{arn: a b, role: r, context: {b: c, a: 1}, aws_profile: p}]",
        "kms: [{arn: a}, ~, {arn: a, context: {}}]",
        "kms: [{arn: a, context: ~, foo: b}]",
        "gcp_kms: [{resource_id: a b}, {}]",
        "hckms: [{key_id: ' a:b '}]",
        "azure_keyvault: [{vaultUrl: 'https://v', key: k, version: 1}]",
        "hc_vault: ['https://v/v1/t/keys/k', 'https://v/v1/t/keys/k/']",
        "hc_vault: ~",
        "agee: [x]",
        "<<: *group",
        "<<: [*group, *group]",
        "merge: ~",
        "kms: [{<<: {arn: z, role: y}, arn: w}]",
        "kms: [{arn: a, context: {<<: {q: r, s: t}, s: u}}]",
        "merge: [*group, ~]",
        // Bad ones.
        "pgp: FF",
        "kms: [{arn: a, context: {x: ~}}]",
        "kms: [a]",
        "hckms: [{key_id: x}]",
        "hckms: [a:b]",
        "azure_keyvault: [{vaultUrl: x, key: k, version: ''}, {version: 2}]",
        "hc_vault: ['']",
        "hc_vault: [x]",
        "gcp_kms: {}",
    ];
    if random.one_in(4) {
        fields.push(random.tame(others, others.len() - 9).to_owned());
    }
    if depth > 0 && random.one_in(4) {
        let mut merged = "merge:".to_owned();
        for _ in 0..1 + random.below(2) {
            if random.one_in(2) {
                merged.push_str(&format!("\n{indent}  - *group"));
            } else {
                merged.push_str(&format!("\n{indent}  - "));
                group(random, &mut merged, &format!("{indent}    "), depth - 1);
            }
        }
        fields.push(merged);
    }
    if fields.is_empty() {
        fields.push("note: x".to_owned());
    }
    text.push_str(&fields.join(&format!("\n{indent}")));
}

fn bool_text(random: &mut Random) -> &'static str {
    random.tame(
        &[
            "true", "false", "yes", "no", "on", "OFF", "y", "'yes'", "~", "", "True", "!!str n",
            "\"true\"", "1", "tRUE",
        ],
        12,
    )
}
