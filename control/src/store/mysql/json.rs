//! Lists for `JSON_TABLE`. Names travel in hexadecimal: JSON is text, and they may hold what text does not.

use std::fmt::Write;

/// One row: numbers, and names in quotes.
pub(super) struct Row<'a>(&'a mut String);

/// A list of rows, as one text.
pub(super) fn list<T>(
    items: impl IntoIterator<Item = T>,
    mut row: impl FnMut(T, &mut Row<'_>),
) -> String {
    let mut text = String::from("[");
    for item in items {
        if text.len() > 1 {
            text.push(',');
        }
        text.push('[');
        let start = text.len();
        row(item, &mut Row(&mut text));
        if text.len() > start {
            text.pop();
        }
        text.push(']');
    }
    text.push(']');
    text
}

impl Row<'_> {
    pub(super) fn number(&mut self, number: i64) -> &mut Self {
        write!(self.0, "{number},").expect("a string takes any text");
        self
    }

    pub(super) fn name(&mut self, name: &[u8]) -> &mut Self {
        self.0.push('"');
        for byte in name {
            write!(self.0, "{byte:02x}").expect("a string takes any text");
        }
        self.0.push_str("\",");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_lists_of_lists() {
        let text = list([(-1, "a\0"), (2, "")], |(number, name), row| {
            row.number(number).name(name.as_bytes());
        });
        assert_eq!(text, r#"[[-1,"6100"],[2,""]]"#);
        assert_eq!(list([0; 0], |_, _| ()), "[]");
    }
}
