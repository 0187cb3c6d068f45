//! The header of a `.npy` file: a Python dictionary literal with three known keys.

use super::{MAGIC, NpyType};

/// Type and shape of a C-ordered 2-D float array, or what is wrong with the header.
pub(super) fn parse(text: &[u8]) -> Result<(NpyType, usize, usize), String> {
    let text = std::str::from_utf8(text).map_err(|_| "not UTF-8".to_owned())?;
    let mut reader = Reader { rest: text.trim() };
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    reader.expect('{')?;
    while !reader.accept('}') {
        let key = reader.string()?;
        reader.expect(':')?;
        let repeated = match key {
            "descr" => descr.replace(reader.descr()?).is_some(),
            "fortran_order" => fortran.replace(reader.boolean()?).is_some(),
            "shape" => shape.replace(reader.tuple()?).is_some(),
            _ => return Err(format!("unknown key '{key}'")),
        };
        if repeated {
            return Err(format!("key '{key}' occurs twice"));
        }
        if !reader.accept(',') && !reader.rest.starts_with('}') {
            return Err(reader.unexpected("',' or '}'"));
        }
    }
    if !reader.rest.is_empty() {
        return Err(reader.unexpected("the end"));
    }
    let dtype = descr.ok_or("no key 'descr'")?;
    if fortran.ok_or("no key 'fortran_order'")? {
        return Err("Fortran order; save the array in C order (numpy.ascontiguousarray)".into());
    }
    match *shape.ok_or("no key 'shape'")?.as_slice() {
        [_, 0] => Err("rows of width 0".into()),
        [rows, dim] => Ok((dtype, rows, dim)),
        ref other => Err(format!("{} dimensions, expected 2: [rows, dim]", other.len())),
    }
}

/// A whole version-1 preamble (magic to newline), padded to a multiple of 64 bytes.
pub(super) fn version_1(rows: usize, dim: usize) -> Vec<u8> {
    let dict = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    let prefix = MAGIC.len() + 4;
    let total = (prefix + dict.len() + 1).next_multiple_of(64);
    let mut bytes = Vec::with_capacity(total);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[1, 0]);
    bytes.extend_from_slice(&((total - prefix) as u16).to_le_bytes());
    bytes.extend_from_slice(dict.as_bytes());
    bytes.resize(total - 1, b' ');
    bytes.push(b'\n');
    bytes
}

/// Reads the few literals that occur, skipping blanks between them.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn accept(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.accept(wanted) { Ok(()) } else { Err(self.unexpected(&format!("'{wanted}'"))) }
    }

    fn unexpected(&self, wanted: &str) -> String {
        let found: String = self.rest.chars().take(12).collect();
        format!("expected {wanted}, found {found:?}")
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let quote = match self.rest.chars().next() {
            Some(quote @ ('\'' | '"')) => quote,
            _ => return Err(self.unexpected("a string")),
        };
        let (text, rest) =
            self.rest[1..].split_once(quote).ok_or_else(|| self.unexpected("a closed string"))?;
        self.rest = rest.trim_start();
        Ok(text)
    }

    fn descr(&mut self) -> Result<NpyType, String> {
        if self.rest.starts_with('[') {
            return Err("a structured dtype, expected '<f2', '<f4' or '<f8'".into());
        }
        match self.string()? {
            "<f2" => Ok(NpyType::F16),
            "<f4" => Ok(NpyType::F32),
            "<f8" => Ok(NpyType::F64),
            other => Err(format!("dtype '{other}', expected '<f2', '<f4' or '<f8'")),
        }
    }

    fn boolean(&mut self) -> Result<bool, String> {
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest.trim_start();
                return Ok(value);
            }
        }
        Err(self.unexpected("True or False"))
    }

    fn tuple(&mut self) -> Result<Vec<usize>, String> {
        self.expect('(')?;
        let mut values = Vec::new();
        while !self.accept(')') {
            let digits = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
            let value = self.rest[..digits].parse();
            values.push(value.map_err(|_| self.unexpected("a dimension"))?);
            self.rest = self.rest[digits..].trim_start();
            if !self.accept(',') && !self.rest.starts_with(')') {
                return Err(self.unexpected("',' or ')'"));
            }
        }
        Ok(values)
    }
}
