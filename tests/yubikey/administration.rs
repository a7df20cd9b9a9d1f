//! `secretsctl yubikey`: what it lists and writes is what age-plugin-yubikey lists and writes; keys it makes are used by both.

use serde_json::json;

use super::*;

#[test]
fn lists_what_the_plugin_lists() {
    let test = "lists_what_the_plugin_lists";
    let Some(plugin) = plugin() else { return };
    let models = [
        Model::new(3001)
            .key(1, NEVER, NEVER)
            .key(20, ALWAYS, TOUCH_CACHED),
        Model::new(3002)
            .key(3, ONCE, TOUCH_ALWAYS)
            .without_certificate(),
    ];
    let Some(reader) = Reader::with(test, &models) else {
        return;
    };
    let [first, second] = [reader.card(0), reader.card(1)];
    let list = run(&mut reader.ctl(["yubikey", "list", "--json"]))
        .expect(0)
        .json();
    assert_eq!(
        list,
        json!([
            { "serial": 3001, "version": "5.4.3", "pin_tries": 3, "pin_given": false, "keys": [
                { "serial": 3001, "slot": 1, "name": "key 1", "pin_policy": "never", "touch_policy": "never",
                  "recipient": first.recipient(1), "identity": first.identity(1) },
                { "serial": 3001, "slot": 20, "name": "key 20", "pin_policy": "always", "touch_policy": "cached",
                  "recipient": first.recipient(20), "identity": first.identity(20) },
            ] },
            { "serial": 3002, "version": "5.4.3", "pin_tries": 3, "pin_given": false, "keys": [
                { "serial": 3002, "slot": 3, "name": null, "pin_policy": "once", "touch_policy": "always",
                  "recipient": second.recipient(3), "identity": second.identity(3) },
            ] },
        ])
    );
    let shown = run(&mut reader.ctl(["yubikey", "list"])).expect(0);
    assert!(
        shown.text().contains("YubiKey 3001  firmware 5.4.3  3 tries of the PIN left\n    slot 1  key 1  PIN never  touch never\n"),
        "{shown}"
    );
    let theirs = reader.run(&plugin, &["--list".as_ref()]).expect(0);
    for slot in [1, 20] {
        assert!(theirs.text().contains(&first.recipient(slot)), "{theirs}");
    }
    let one = run(&mut reader.ctl(["yubikey", "list", "--yubikey", "3002", "--json"])).expect(0);
    assert_eq!(one.json().as_array().unwrap().len(), 1);
    run(&mut reader.ctl(["yubikey", "list", "--yubikey", "1"])).expect(2);
}

#[test]
fn writes_the_identity_that_the_plugin_writes() {
    let test = "writes_the_identity_that_the_plugin_writes";
    let Some(plugin) = plugin() else { return };
    let models = [
        Model::new(3003).key(1, ONCE, NEVER).key(2, NEVER, NEVER),
        Model::new(3004),
    ];
    let Some(reader) = Reader::with(test, &models) else {
        return;
    };
    let card = reader.card(0);
    let dir = Dir::new();
    let several = run(&mut reader.ctl(["yubikey", "identity"])).expect(2);
    assert!(
        several
            .stderr
            .contains("several YubiKeys are plugged in: 3003, 3004"),
        "{several}"
    );
    let none = run(&mut reader.ctl(["yubikey", "identity", "--yubikey", "3004"])).expect(2);
    assert!(
        none.stderr.contains("holds no key that age can use"),
        "{none}"
    );
    let both = run(&mut reader.ctl(["yubikey", "identity", "--yubikey", "3003"])).expect(0);
    let lines = |text: &str| -> Vec<String> {
        let important = |line: &&str| line.starts_with("AGE-") || line.contains("Recipient:");
        text.lines().filter(important).map(str::to_owned).collect()
    };
    assert_eq!(lines(both.text()).len(), 4, "{both}");
    let theirs = reader.run(
        &plugin,
        &[
            "--identity".as_ref(),
            "--serial".as_ref(),
            "3003".as_ref(),
            "--slot".as_ref(),
            "1".as_ref(),
        ],
    );
    let theirs = theirs.expect(0);
    let path = dir.join("identity.txt");
    let write = || {
        let mut args: Vec<&OsStr> = [
            "yubikey",
            "identity",
            "--yubikey",
            "3003",
            "--slot",
            "1",
            "--output",
        ]
        .map(OsStr::new)
        .to_vec();
        args.push(path.as_ref());
        run(&mut reader.ctl(args))
    };
    write().expect(0);
    assert_eq!(dir.mode("identity.txt"), 0o600);
    let text = dir.read("identity.txt");
    assert_eq!(lines(&text), lines(theirs.text()));
    assert!(text.contains(&card.identity(1)));
    // What is there stays.
    let again = write().expect(2);
    assert!(again.stderr.contains("nothing is overwritten"), "{again}");
    assert_eq!(dir.read("identity.txt"), text);
}

/// Runs `yubikey generate ARGS` where somebody knows the PIN.
fn generate(reader: &Reader, args: &[&str]) -> crate::support::Ran {
    let mut all = vec!["yubikey", "generate"];
    all.extend(args);
    Terminal::run(&reader.ctl(all), |person| {
        person.expect("Enter PIN");
        person.enter(&format!("{PIN}\r"));
    })
    .ran
}

#[test]
fn makes_keys_that_ours_and_the_plugin_use() {
    let test = "makes_keys_that_ours_and_the_plugin_use";
    let Some(plugin) = plugin() else { return };
    let Some(reader) = Reader::with(test, &[Model::new(3005).key(1, ONCE, NEVER)]) else {
        return;
    };
    let card = reader.card(0);
    let dir = Dir::new();
    let policies = [("never", "never"), ("once", "cached"), ("always", "always")];
    for (number, (pin, touch)) in policies.into_iter().enumerate() {
        let slot = number + 2;
        let made = generate(
            &reader,
            &[
                "--json",
                "--pin-policy",
                pin,
                "--touch-policy",
                touch,
                "--name",
                "secrets of 2026",
            ],
        )
        .expect(0)
        .json();
        let key = &made[0];
        assert_eq!(key["slot"], slot, "the first free one");
        assert_eq!(
            (key["pin_policy"].as_str(), key["touch_policy"].as_str()),
            (Some(pin), Some(touch))
        );
        assert_eq!(key["name"], "secrets of 2026");
        let theirs = reader.run(&plugin, &["--list".as_ref()]).expect(0);
        let recipient = key["recipient"].as_str().unwrap();
        assert!(theirs.text().contains(recipient), "{theirs}");
        assert!(theirs.text().contains("secrets of 2026"), "{theirs}");
        // And it opens what is encrypted to it.
        let file = encrypted(&dir, &format!("{slot}.yaml"), &[recipient]);
        let identity = dir.write("identity.txt", key["identity"].as_str().unwrap());
        let mut command = decrypt(&reader, &file, &[&identity]);
        if pin == "never" {
            assert_eq!(run(&mut command).expect(0).text(), PLAIN);
        } else {
            // It still has the PIN that the key was made with.
            reader.power_down(card);
            assert_eq!(with_pin(&command), PLAIN);
        }
    }
    assert_eq!(card.count("generated"), 3);
}

/// The plugin keeps the management key behind the PIN: ours finds it there.
#[test]
fn works_on_a_card_that_the_plugin_has_set_up() {
    let test = "works_on_a_card_that_the_plugin_has_set_up";
    let Some(plugin) = plugin() else { return };
    let Some(reader) = Reader::with(test, &[Model::new(3009)]) else {
        return;
    };
    let mut command = Command::new("sh");
    // It asks only where it can show something, too.
    let script = "exec timeout --foreground 60 \"$@\" >/dev/tty 2>/dev/tty";
    command.args(["-c", script, "sh"]);
    command
        .arg(&plugin)
        .args(["--generate", "--serial", "3009", "--slot", "1"]);
    command.args(["--pin-policy", "never", "--touch-policy", "never"]);
    crate::support::clean(&mut command);
    let made = Terminal::run(&reader.enter(&command), |person| {
        person.expect("PIN");
        // What is typed before is thrown away.
        person.expect_no_echo();
        person.enter(&format!("{PIN}\r"));
    });
    assert_eq!(made.ran.code(), 0, "{}", made.seen);
    let list = run(&mut reader.ctl(["yubikey", "list", "--json"]))
        .expect(0)
        .json();
    let key = &list[0]["keys"][0];
    assert_eq!(
        (key["slot"].as_u64(), key["pin_policy"].as_str()),
        (Some(1), Some("never"))
    );
    let recipient = key["recipient"].as_str().unwrap();
    assert!(made.seen.contains(recipient), "{}", made.seen);
    let dir = Dir::new();
    let file = encrypted(&dir, "a.yaml", &[recipient]);
    let identity = dir.write("identity.txt", key["identity"].as_str().unwrap());
    let shown = run(&mut decrypt(&reader, &file, &[&identity])).expect(0);
    assert_eq!(shown.text(), PLAIN);
    let second = generate(&reader, &["--json"]).expect(0).json();
    assert_eq!(second[0]["slot"], 2);
}

#[test]
fn overwrites_nothing_and_makes_no_weak_key() {
    let test = "overwrites_nothing_and_makes_no_weak_key";
    let models = [
        Model::new(3006).key(1, ONCE, NEVER),
        Model::new(3007).pin("123456"),
    ];
    let Some(reader) = Reader::with(test, &models) else {
        return;
    };
    let [card, factory] = [reader.card(0), reader.card(1)];
    let before = card.recipient(1);
    let refused = generate(&reader, &["--yubikey", "3006", "--slot", "1"]).expect(2);
    assert!(
        refused
            .stderr
            .contains("is in use, and nothing is overwritten"),
        "{refused}"
    );
    let dir = Dir::new();
    let existing = dir.write("there.txt", "mine");
    let refused = run(&mut reader.ctl([
        "yubikey",
        "generate",
        "--yubikey",
        "3006",
        "--output",
        existing.to_str().unwrap(),
    ]))
    .expect(2);
    assert!(
        refused.stderr.contains("nothing is overwritten"),
        "{refused}"
    );
    assert_eq!(dir.read("there.txt"), "mine");
    let refused = run(&mut reader.ctl(["yubikey", "generate", "--yubikey", "3007"])).expect(2);
    assert!(
        refused.stderr.contains("has the PIN of the factory"),
        "{refused}"
    );
    let refused = run(&mut reader.ctl([
        "yubikey",
        "generate",
        "--yubikey",
        "3006",
        "--name",
        "a,O=b",
    ]));
    refused.expect(2);
    assert_eq!(
        (card.count("generated"), factory.count("generated")),
        (0, 0)
    );
    let list = run(&mut reader.ctl(["yubikey", "list", "--yubikey", "3006", "--json"])).expect(0);
    assert_eq!(list.json()[0]["keys"][0]["recipient"], before);
}

#[test]
fn a_key_whose_certificate_fails_is_told_and_usable() {
    let test = "a_key_whose_certificate_fails_is_told_and_usable";
    let Some(reader) = Reader::with(test, &[Model::new(3014)]) else {
        return;
    };
    let card = reader.card(0);
    card.tell(&json!({ "touch": false }));
    let refused = generate(&reader, &["--pin-policy", "never"]).expect(2);
    assert!(
        refused
            .stderr
            .contains("the key was made in YubiKey 3014, but not its certificate"),
        "{refused}"
    );
    card.tell(&json!({ "touch": true }));
    let keys = run(&mut reader.ctl(["yubikey", "identity", "--json"]))
        .expect(0)
        .json();
    assert_eq!(
        (keys[0]["slot"].as_u64(), keys[0]["name"].is_null()),
        (Some(1), true)
    );
    let dir = Dir::new();
    let file = encrypted(&dir, "a.yaml", &[keys[0]["recipient"].as_str().unwrap()]);
    let identity = dir.write("identity.txt", keys[0]["identity"].as_str().unwrap());
    let shown = run(&mut decrypt(&reader, &file, &[&identity])).expect(0);
    assert_eq!(shown.text(), PLAIN);
    // It is a key like any other.
    let refused = generate(&reader, &["--slot", "1"]).expect(2);
    assert!(
        refused.stderr.contains("nothing is overwritten"),
        "{refused}"
    );
}

/// Cards from firmware 5.7 on have a management key of AES.
#[test]
fn newer_cards_have_another_kind_of_management_key() {
    let test = "newer_cards_have_another_kind_of_management_key";
    let new = |serial| Model::new(serial).version([5, 7, 1]).aes();
    let Some(reader) = Reader::with(test, &[new(3010), new(3011).protected()]) else {
        return;
    };
    let dir = Dir::new();
    for serial in ["3010", "3011"] {
        let args = ["--json", "--yubikey", serial, "--touch-policy", "never"];
        let key = generate(&reader, &args).expect(0).json();
        let recipient = key[0]["recipient"].as_str().unwrap();
        let file = encrypted(&dir, &format!("{serial}.yaml"), &[recipient]);
        let identity = dir.write("identity.txt", key[0]["identity"].as_str().unwrap());
        let command = decrypt(&reader, &file, &[&identity]);
        let number = usize::from(serial == "3011");
        reader.power_down(reader.card(number));
        assert_eq!(with_pin(&command), PLAIN);
        assert_eq!(reader.card(number).count("generated"), 1);
    }
}

#[test]
fn a_management_key_that_nobody_knows_is_explained() {
    let test = "a_management_key_that_nobody_knows_is_explained";
    let models = [
        Model::new(3012).protected(),
        Model::new(3013).version([5, 7, 1]).aes().protected(),
    ];
    let Some(reader) = Reader::with(test, &models) else {
        return;
    };
    for (number, serial) in ["3012", "3013"].into_iter().enumerate() {
        let card = reader.card(number);
        card.tell(&json!({ "object": { "id": 0x5f_c109, "content": [0x88, 0] } }));
        let refused = generate(&reader, &["--yubikey", serial]).expect(2);
        let says = "is neither the factory's nor protected by the PIN";
        assert!(refused.stderr.contains(says), "{refused}");
        assert!(
            refused.stderr.contains("change-management-key"),
            "{refused}"
        );
        assert_eq!(card.count("generated"), 0);
    }
}
