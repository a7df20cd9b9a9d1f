//! Globs of `match` and `include`: `?` and `*` stay within one part of a path, `**` as a whole part stands for any
//! number of parts.

/// A pattern over the parts of a path.
#[derive(Debug)]
pub(crate) struct Glob {
    parts: Vec<String>,
}

impl Glob {
    /// Reads a pattern; parts are separated by `/`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            return Err(
                "a pattern is matched against delivered paths, which do not begin with `/`"
                    .to_owned(),
            );
        }
        let parts: Vec<String> = text.split('/').map(str::to_owned).collect();
        for part in &parts {
            if part.is_empty() {
                return Err(format!("the pattern `{text}` has an empty part"));
            }
            if part != "**" && part.contains("**") {
                return Err(format!(
                    "in `{text}`, `**` must be a part of its own, as in `a/**/b`"
                ));
            }
            if part.contains(['[', ']', '{', '}', '\\']) {
                return Err(format!(
                    "the pattern `{text}` has a character that is none of `?`, `*`, `**` or plain text"
                ));
            }
        }
        Ok(Self { parts })
    }

    /// Whether the whole of `path` matches.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let path: Vec<&str> = path.split('/').collect();
        wildcard(
            &self.parts,
            &path,
            |part| part == "**",
            |part, name| part_matches(part, name),
        )
    }
}

/// Whether `name`, one part of a path, matches `pattern`.
pub(crate) fn part_matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    wildcard(&pattern, &name, |&c| c == '*', |&p, &c| p == '?' || p == c)
}

/// Matches with one kind of "any number of" element. Only the last one seen needs to be retried, so the time is at
/// most the product of both lengths.
fn wildcard<P, T>(
    pattern: &[P],
    text: &[T],
    any: impl Fn(&P) -> bool,
    same: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while let Some(item) = text.get(t) {
        match pattern.get(p) {
            Some(element) if any(element) => {
                retry = Some((p, t));
                p += 1;
                continue;
            }
            Some(element) if same(element, item) => {
                p += 1;
                t += 1;
                continue;
            }
            _ => {}
        }
        let Some((at, from)) = retry else {
            return false;
        };
        retry = Some((at, from + 1));
        p = at + 1;
        t = from + 1;
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(any))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars() {
        for (pattern, path, expected) in [
            ("postgres/**", "postgres/a", true),
            ("postgres/**", "postgres/a/b", true),
            ("postgres/**", "postgres", true),
            ("postgres/**", "postgresql/a", false),
            ("postgres/*", "postgres/a/b", false),
            ("**/tls.key", "tls.key", true),
            ("**/tls.key", "a/b/tls.key", true),
            ("a/**/z", "a/z", true),
            ("a/**/z", "a/b/c/z", true),
            ("a/**/z", "a/b/c", false),
            ("**/x/**/y", "x/x/q/y/y", true),
            ("*.env", "app.env", true),
            ("*.env", "a/app.env", false),
            ("?.env", "é.env", true),
            ("*a*b*", "xxaxxbxx", true),
            ("**", "a/b", true),
        ] {
            assert_eq!(
                Glob::parse(pattern).unwrap().matches(path),
                expected,
                "{pattern} {path}"
            );
        }
        for bad in ["", "/a", "a//b", "a**", "[ab]", "{a,b}"] {
            assert!(Glob::parse(bad).is_err(), "{bad}");
        }
    }
}
