//! Templates, as `secretsd --once` renders them.

use crate::host::Host;

const SECRET: &str = "secrets:\n  p: { file: a.yaml, key: x }\n";

#[test]
fn values_are_written_as_the_author_says() {
    let Some(host) = Host::nobody("values_are_written_as_the_author_says") else {
        return;
    };
    host.put("a.yaml", "x: 'p@ss \"w\" & <o>/rd'\n");
    host.configure(&format!(
        "{SECRET}templates:\n  app.env:\n    content: |\n      URL=postgres://app:{{{{ secret(\"p\") | urlencode }}}}@localhost\n      \
         RAW={{{{ secret(\"p\") }}}}\n      Q={{{{ secret(\"p\") | systemd_env }}}}\n    mode: \"0440\"\n"
    ));
    host.once().expect(0);
    let expected = "URL=postgres://app:p%40ss%20%22w%22%20%26%20%3Co%3E%2Frd@localhost\nRAW=p@ss \"w\" & <o>/rd\n\
                    Q=\"p@ss \\\"w\\\" & <o>/rd\"\n";
    assert_eq!(String::from_utf8(host.secret("app.env")).unwrap(), expected);
    // The shell agrees about its own filter.
    host.configure(&format!(
        "{SECRET}templates:\n  t.sh: {{ content: 'X={{{{ secret(\"p\") | shell }}}}' }}\n"
    ));
    host.once().expect(0);
    assert_eq!(
        host.sh(". $D/run/secrets/t.sh; printf %s \"$X\"").text(),
        "p@ss \"w\" & <o>/rd"
    );
}

#[test]
fn a_line_break_needs_a_filter_in_environment_files() {
    let Some(host) = Host::nobody("a_line_break_needs_a_filter_in_environment_files") else {
        return;
    };
    host.put("a.yaml", "x: \"one\\nB=two\"\n");
    let template = |name: &str, more: &str, filter: &str| {
        format!(
            "{SECRET}templates:\n  {name}: {{ content: 'A={{{{ secret(\"p\"){filter} }}}}'{more} }}\n"
        )
    };
    for (name, more, filter, code) in [
        ("t.env", "", "", 1),
        ("t.env", "", " | base64", 0),
        ("t.env", "", " | json", 0),
        ("t.env", ", environment: false", "", 0),
        ("t", "", "", 0),
        ("t", ", environment: true", "", 1),
    ] {
        host.configure(&template(name, more, filter));
        let ran = host.once().expect(code);
        assert_eq!(ran.stderr.contains("line break"), code == 1, "{ran}");
        assert_eq!(
            host.delivered().len(),
            if code == 0 { 2 } else { 1 },
            "{ran}"
        );
        host.configure("");
        host.once().expect(0);
    }
}

#[test]
fn errors_point_into_the_template() {
    let Some(host) = Host::nobody("errors_point_into_the_template") else {
        return;
    };
    host.put("a.yaml", "x: one\n");
    let file = host.dir.write("etc/t.tmpl", "first\n{{ secret(\"q\") }}\n");
    host.configure(&format!(
        "{SECRET}templates:\n  t: {{ file: t.tmpl }}\n  u: {{ content: '{{{{ nothing }}}}' }}\n"
    ));
    let ran = host.once().expect(1);
    assert!(ran.stderr.contains("there is no secret `q`"), "{ran}");
    assert!(
        ran.stderr
            .contains(&format!("  --> {}:2:1\n", file.display())),
        "{ran}"
    );
    assert!(ran.stderr.contains("hint: did you mean `p`?"), "{ran}");
    assert!(
        ran.stderr.contains(
            "line 1 of the template: the template is wrong: it uses a name that is not defined"
        ),
        "{ran}"
    );
    assert_eq!(host.delivered(), ["p"]);
    host.dir.write("etc/t.tmpl", "{{ secret('p') }}\n");
    host.configure(&format!("{SECRET}templates:\n  t: {{ file: t.tmpl }}\n"));
    host.once().expect(0);
    assert_eq!(host.secret("t"), b"one\n");
    host.dir.write("etc/t.tmpl", "2 {{ secret('p') }}\n");
    host.once().expect(0);
    assert_eq!(host.secret("t"), b"2 one\n");
    // Who can change a template decides which secret it holds.
    host.dir.write("etc/t.tmpl", "3 {{ secret('p') }}\n");
    host.dir.chmod("etc/t.tmpl", 0o666);
    let ran = host.once().expect(1);
    assert!(ran.stderr.contains("the template is not used"), "{ran}");
    assert_eq!(host.secret("t"), b"2 one\n");
}

#[test]
fn a_template_of_a_degraded_secret_keeps_its_last_good_value() {
    let Some(host) = Host::nobody("a_template_of_a_degraded_secret") else {
        return;
    };
    host.put("a.yaml", "x: one\n");
    host.put("b.yaml", "x: two\n");
    let text = |more: &str| {
        format!(
            "secrets:\n  p: {{ file: a.yaml, key: x }}\n  q: {{ file: b.yaml, key: x }}\ntemplates:\n  \
             t: {{ content: '{more}{{{{ secret(\"p\") }}}}' }}\n  u: {{ content: '{{{{ secret(\"q\") }}}}' }}\n"
        )
    };
    host.configure(&text(""));
    host.once().expect(0);
    host.dir.write("repo/a.yaml", "broken");
    host.put("b.yaml", "x: three\n");
    host.configure(&text("changed "));
    let ran = host.once().expect(1);
    assert!(
        ran.stderr
            .contains("the template uses the secret `p`, which is degraded"),
        "{ran}"
    );
    assert_eq!(
        (host.secret("t"), host.secret("u")),
        (b"one".to_vec(), b"three".to_vec())
    );
    host.put("a.yaml", "x: four\n");
    host.once().expect(0);
    assert_eq!(host.secret("t"), b"changed four");
}

#[test]
fn a_value_used_as_a_name_is_not_said() {
    let Some(host) = Host::nobody("a_value_used_as_a_name_is_not_said") else {
        return;
    };
    host.put("a.yaml", "x: Ohg7ohQu\n");
    host.configure(&format!(
        "{SECRET}templates:\n  t: {{ content: '{{{{ secret(secret(\"p\")) }}}}' }}\n"
    ));
    let ran = host.once().expect(1);
    assert!(
        ran.stderr.contains("there is no secret of the name"),
        "{ran}"
    );
    assert!(!ran.stderr.contains("Ohg7ohQu"), "{ran}");
}

#[test]
fn a_loop_cannot_double_a_text() {
    let Some(host) = Host::nobody("a_loop_cannot_double_a_text") else {
        return;
    };
    host.put("a.yaml", "x: one\n");
    let text = "{% set n = namespace(a='x') %}{% for i in range(60) %}{% set n.a = n.a ~ n.a %}{% endfor %}";
    host.configure(&format!(
        "{SECRET}templates:\n  t: {{ content: \"{text}\" }}\n"
    ));
    let ran = host.once().expect(1);
    assert!(ran.stderr.contains("the template is wrong"), "{ran}");
}
