//! Python dict literals, the format of the 2014 Amazon metadata.

use serde_json::{Map, Value};

/// Nesting beyond this is refused, so that a hostile line cannot exhaust the stack.
const MAX_DEPTH: usize = 64;

/// Parses a literal of dicts, lists, tuples, strings, numbers, `True`, `False` and `None`. The
/// error is the message, with the byte at which it stands.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(0)?;
    parser.skip_space();
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(parser.expected("the end of the line")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next();
        }
    }

    fn accept(&mut self, c: char) -> bool {
        self.skip_space();
        let found = self.peek() == Some(c);
        if found {
            self.next();
        }
        found
    }

    fn expected(&self, what: &str) -> String {
        let found = self.peek().map_or("the end".to_owned(), |c| format!("`{c}`"));
        format!("not a Python literal: expected {what} at byte {}, found {found}", self.at)
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(format!("not a Python literal: nested deeper than {MAX_DEPTH}"));
        }
        self.skip_space();
        match self.peek() {
            Some('{') => self.dict(depth),
            Some('[') => self.sequence(']', depth),
            Some('(') => self.sequence(')', depth),
            Some('\'' | '"') => self.string().map(Value::String),
            Some('u' | 'U') if self.text[self.at + 1..].starts_with(['\'', '"']) => {
                self.next();
                self.string().map(Value::String)
            }
            Some(_) => self.word(),
            None => Err(self.expected("a value")),
        }
    }

    fn dict(&mut self, depth: usize) -> Result<Value, String> {
        self.next();
        let mut map = Map::new();
        while !self.accept('}') {
            let key = match self.value(depth + 1)? {
                Value::String(key) => key,
                other => other.to_string(),
            };
            if !self.accept(':') {
                return Err(self.expected("`:`"));
            }
            map.insert(key, self.value(depth + 1)?);
            if !self.accept(',') && self.peek() != Some('}') {
                return Err(self.expected("`,` or `}`"));
            }
        }
        Ok(Value::Object(map))
    }

    fn sequence(&mut self, close: char, depth: usize) -> Result<Value, String> {
        self.next();
        let mut values = Vec::new();
        while !self.accept(close) {
            values.push(self.value(depth + 1)?);
            if !self.accept(',') && self.peek() != Some(close) {
                return Err(self.expected(&format!("`,` or `{close}`")));
            }
        }
        Ok(Value::Array(values))
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = self.next();
        let mut out = String::new();
        loop {
            match self.next() {
                None => return Err(self.expected("the end of a string")),
                Some('\\') => self.escape(&mut out)?,
                c if c == quote => return Ok(out),
                Some(c) => out.push(c),
            }
        }
    }

    /// The escapes of Python's string literals; unknown ones stand for themselves.
    fn escape(&mut self, out: &mut String) -> Result<(), String> {
        let Some(c) = self.next() else { return Err(self.expected("an escape")) };
        match c {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'v' => out.push('\u{b}'),
            '\\' | '\'' | '"' => out.push(c),
            'x' => out.push(self.code(2, 16)?),
            'u' => out.push(self.code(4, 16)?),
            'U' => out.push(self.code(8, 16)?),
            '0'..='7' => {
                self.at -= 1;
                let digits = self.text[self.at..].bytes().take(3);
                let length = digits.take_while(|byte| (b'0'..=b'7').contains(byte)).count();
                out.push(self.code(length, 8)?);
            }
            other => out.extend(['\\', other]),
        }
        Ok(())
    }

    /// A character by a code of `length` digits; halves of surrogate pairs, which have no
    /// character, become U+FFFD.
    fn code(&mut self, length: usize, radix: u32) -> Result<char, String> {
        let number = self
            .text
            .get(self.at..self.at + length)
            .and_then(|digits| u32::from_str_radix(digits, radix).ok())
            .ok_or_else(|| self.expected("the digits of an escape"))?;
        self.at += length;
        Ok(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn word(&mut self) -> Result<Value, String> {
        let rest = &self.text[self.at..];
        let end = rest.find([',', '}', ']', ')', ':']).unwrap_or(rest.len());
        let word = rest[..end].trim_end();
        let value = match word {
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            "None" => Value::Null,
            number => match number.parse::<i64>() {
                Ok(integer) => integer.into(),
                // Infinities and NaN, which JSON does not have, become null.
                Err(_) => {
                    number.parse::<f64>().map(Value::from).map_err(|_| self.expected("a value"))?
                }
            },
        };
        self.at += word.len();
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn literals_are_read_as_python_reads_them() {
        let text = r#"{'asin': '0001', "title": 'It\'s "x" \xe9\u00e9\101\n', 'price': 9.5, 'n': -3,
            'categories': [['a', u'b'], ('c',)], 'related': {}, 'x': None, 'y': True, }"#;
        let expected = json!({
            "asin": "0001", "title": "It's \"x\" ééA\n", "price": 9.5, "n": -3,
            "categories": [["a", "b"], ["c"]], "related": {}, "x": null, "y": true,
        });
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn broken_literals_say_where() {
        let fault = |text: &str| parse(text).unwrap_err();
        assert!(fault("{'a': 'b").contains("the end of a string at byte 8"));
        assert!(fault("{'a' 1}").contains("expected `:` at byte 5"));
        assert!(fault("{'a': 1 2}").contains("expected a value"));
        assert!(fault("{'a': 1} x").contains("the end of the line"));
        assert!(fault(r"'\xé'").contains("digits of an escape"));
        assert!(fault(&"[".repeat(100_000)).contains("nested deeper"));
        assert!(fault("").contains("found the end"));
    }
}
