//! One column of an entity table, as text.

/// What a column held in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// One text a row.
    Text,
    /// A list of texts a row.
    List,
    /// A number (or truth value, or date), kept as its text.
    Number,
}

/// A named column: each row holds no, one or (for lists) several texts.
///
/// All texts lie in one buffer, so a column of a million titles is two allocations, not a
/// million. A null, an empty text and an absent one are the same: no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextColumn {
    name: String,
    kind: ColumnKind,
    text: String,
    /// End of each part in `text`.
    part_ends: Vec<usize>,
    /// End of each row in `part_ends`.
    row_ends: Vec<usize>,
}

impl TextColumn {
    /// A column without rows.
    pub fn new(name: impl Into<String>, kind: ColumnKind) -> TextColumn {
        TextColumn {
            name: name.into(),
            kind,
            text: String::new(),
            part_ends: Vec::new(),
            row_ends: Vec::new(),
        }
    }

    /// A text column with one text a row.
    pub fn from_texts<T: AsRef<str>>(
        name: impl Into<String>,
        texts: impl IntoIterator<Item = T>,
    ) -> TextColumn {
        let mut column = TextColumn::new(name, ColumnKind::Text);
        for text in texts {
            column.push([text.as_ref()]);
        }
        column
    }

    /// Appends a row; surrounding white space is cut and empty parts are left out.
    pub fn push<'a>(&mut self, parts: impl IntoIterator<Item = &'a str>) {
        for part in parts.into_iter().map(str::trim).filter(|part| !part.is_empty()) {
            self.text.push_str(part);
            self.part_ends.push(self.text.len());
        }
        self.row_ends.push(self.part_ends.len());
    }

    /// The column's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the column held in its file.
    pub fn kind(&self) -> ColumnKind {
        self.kind
    }

    /// Changes the kind; the texts stay.
    pub(crate) fn set_kind(&mut self, kind: ColumnKind) {
        self.kind = kind;
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.row_ends.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.row_ends.is_empty()
    }

    /// The texts of `row`; none for a row that the column does not have.
    pub fn parts(&self, row: usize) -> impl Iterator<Item = &str> {
        let last = self.row_ends.get(row).copied().unwrap_or_default();
        let first = if last == 0 || row == 0 { 0 } else { self.row_ends[row - 1] };
        (first..last).map(|part| {
            let start = if part == 0 { 0 } else { self.part_ends[part - 1] };
            &self.text[start..self.part_ends[part]]
        })
    }

    /// The first text of `row`, empty where there is none.
    pub fn first(&self, row: usize) -> &str {
        self.parts(row).next().unwrap_or_default()
    }

    /// Appends the texts of `row` to `out`, joined by `", "`.
    pub fn write(&self, row: usize, out: &mut String) {
        for (at, part) in self.parts(row).enumerate() {
            if at > 0 {
                out.push_str(", ");
            }
            out.push_str(part);
        }
    }

    /// Whether `row` has no text.
    pub fn is_blank(&self, row: usize) -> bool {
        self.parts(row).next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_parts_apart() {
        let mut column = TextColumn::new("tags", ColumnKind::List);
        column.push([" a ", "", "b"]);
        column.push([]);
        column.push(["c"]);
        assert_eq!(column.parts(0).collect::<Vec<_>>(), ["a", "b"]);
        assert!(column.is_blank(1) && column.is_blank(9));
        assert_eq!(column.first(2), "c");
        let mut out = String::new();
        column.write(0, &mut out);
        assert_eq!(out, "a, b");
    }
}
