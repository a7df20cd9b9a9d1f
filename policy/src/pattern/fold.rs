//! Case folding as Go does it: the orbits of `unicode.SimpleFold` in Unicode 15.0.

use std::sync::OnceLock;

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::property;

/// Adds every character that differs from one in `set` by case only.
pub(super) fn fold(set: &mut ClassUnicode) {
    let mut folded = set.clone();
    folded.intersect(foldable());
    if folded.try_case_fold_simple().is_err() {
        return; // cannot happen: the tables are compiled in (feature `unicode-case` of regex-syntax)
    }
    folded.intersect(property::assigned());
    set.union(&folded);
}

/// What Unicode 15.0 knows, less the three pairs that became equivalent in 15.1.
fn foldable() -> &'static ClassUnicode {
    static FOLDABLE: OnceLock<ClassUnicode> = OnceLock::new();
    FOLDABLE.get_or_init(|| {
        let newer = [
            '\u{390}', '\u{3b0}', '\u{1fd3}', '\u{1fe3}', '\u{fb05}', '\u{fb06}',
        ];
        let mut set = property::assigned().clone();
        set.difference(&ClassUnicode::new(
            newer.map(|c| ClassUnicodeRange::new(c, c)),
        ));
        set
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(c: char) -> String {
        let mut set = ClassUnicode::new([ClassUnicodeRange::new(c, c)]);
        fold(&mut set);
        set.ranges()
            .iter()
            .flat_map(|range| range.start()..=range.end())
            .collect()
    }

    #[test]
    fn orbits_are_those_of_unicode_15_0() {
        assert_eq!(folded('k'), "Kk\u{212a}");
        assert_eq!(folded('S'), "Ss\u{17f}");
        assert_eq!(folded('\u{390}'), "\u{390}");
        assert_eq!(folded('\u{fb06}'), "\u{fb06}");
        assert_eq!(
            folded('\u{19b}'),
            "\u{19b}",
            "its capital came with Unicode 16"
        );
        assert_eq!(folded('\u{a7cd}'), "\u{a7cd}", "new in Unicode 16");
        assert_eq!(folded('i'), "Ii", "no Turkish forms");
    }
}
