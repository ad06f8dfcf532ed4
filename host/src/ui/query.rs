//! The path and the query of a URL, as text.
//!
//! Owns their decoding. What cannot be decoded is no value.

/// The values of a query, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the query of a URL, without its `?`. Pairs that cannot be decoded are left out.
    pub(super) fn read(query: &str) -> Self {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(&name.replace('+', " "))?, decoded(&value.replace('+', " "))?))
        };
        Self(query.split('&').filter(|text| !text.is_empty()).filter_map(pair).collect())
    }

    /// The first value of a name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of a name, in order.
    pub(super) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = move |pair: &&(String, String)| pair.0 == name;
        self.0.iter().filter(named).map(|(_, value)| value.as_str()).collect::<Vec<_>>().into_iter()
    }

    /// The first value of a name as a whole number; `other` if there is no value.
    ///
    /// # Errors
    /// If the value is no such number. The error is for the client.
    pub(super) fn number(&self, name: &str, other: u64) -> Result<u64, String> {
        self.get(name).map_or(Ok(other), |value| value.parse().map_err(|_| format!("{name} is no whole number")))
    }
}

/// Text with `%` and two digits in place of some bytes. `None` if it is no text.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, others) = rest.split_at_checked(2)?;
        rest = others;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_decoded() {
        let query = Query::read("status=COMPLETED&status=a+b%21&limit=7&x=%zz&=&flag");
        assert_eq!(query.all("status").collect::<Vec<_>>(), ["COMPLETED", "a b!"]);
        assert_eq!((query.number("limit", 1), query.number("none", 1)), (Ok(7), Ok(1)));
        assert_eq!(query.number("flag", 1), Err("flag is no whole number".to_owned()));
        assert_eq!(query.get("x"), None);
    }

    proptest! {
        #[test]
        fn any_query_is_read(text: String) {
            let _ = Query::read(&text);
        }
    }
}
