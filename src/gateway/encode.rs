//! Bytes as text, the ways the protocol spells them.

use crate::format::from_base64url;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64 for URLs, without padding.
pub(super) fn base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte));
        let group = group << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            let index = (group >> (18 - 6 * place)) & 63;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}

/// Lowercase hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

/// Reads 32 bytes of hexadecimal.
pub(super) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    let bytes: Option<Vec<u8>> =
        digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).ok()).collect();
    bytes?.try_into().ok()
}

/// The content of the first `BEGIN CERTIFICATE` block of a PEM file.
pub(super) fn first_certificate(pem: &str) -> Option<Vec<u8>> {
    let body = pem.split_once("-----BEGIN CERTIFICATE-----")?.1;
    let body = body.split_once("-----END CERTIFICATE-----")?.0;
    from_base64(body)
}

/// Reads padded or unpadded base64, with white space between.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let url = text.chars().filter(|c| !c.is_ascii_whitespace() && *c != '=').map(|c| match c {
        '+' => '-',
        '/' => '_',
        other => other,
    });
    from_base64url(&url.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_as_rfc_4648_does() {
        for (bytes, text) in
            [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg")]
        {
            assert_eq!(base64url(bytes.as_bytes()), text);
            assert_eq!(from_base64(text).unwrap(), bytes.as_bytes());
        }
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
        assert_eq!(from_base64("+/8=\n").unwrap(), [0xfb, 0xff]);
        assert_eq!(from_base64("a?b"), None);
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let bytes: [u8; 32] = std::array::from_fn(|at| (at * 37) as u8);
        assert_eq!(from_hex(&hex(&bytes)), Some(bytes));
        for text in ["", "00", &"g".repeat(64), &"0".repeat(66)] {
            assert_eq!(from_hex(text), None, "{text}");
        }
    }

    #[test]
    fn the_first_certificate_of_a_chain_is_taken() {
        let pem = "x\n-----BEGIN CERTIFICATE-----\nZm9v\nYg==\n-----END CERTIFICATE-----\n\
                   -----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(first_certificate(pem).unwrap(), b"foob");
        assert_eq!(first_certificate("-----BEGIN PRIVATE KEY-----"), None);
    }
}
