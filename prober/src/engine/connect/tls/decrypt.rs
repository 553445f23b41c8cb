//! Private keys in PEM, encrypted or not. Pure.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use md5::{Digest as _, Md5};
use pem::Pem;
use pkcs8::EncryptedPrivateKeyInfoRef;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Why there is no key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyError {
    /// The file contains no key.
    None,
    NoPass,
    /// The pass phrase is wrong, or the key is damaged.
    WrongPass,
    Unsupported(String),
}

/// The first private key of a file.
pub(super) fn private_key(
    pem: &[u8],
    pass: Option<&str>,
) -> Result<PrivateKeyDer<'static>, KeyError> {
    let sections = pem::parse_many(pem).map_err(|_| KeyError::None)?;
    let is_key = |section: &&Pem| section.tag().ends_with("PRIVATE KEY");
    let section = sections.iter().find(is_key).ok_or(KeyError::None)?;
    let header = |name| section.headers().get(name);
    let der = if section.tag() == "ENCRYPTED PRIVATE KEY" {
        pkcs8(section.contents(), pass.ok_or(KeyError::NoPass)?)?
    } else if header("Proc-Type").is_some_and(|value| value.contains("ENCRYPTED")) {
        let pass = pass.ok_or(KeyError::NoPass)?;
        traditional(section.contents(), header("DEK-Info").unwrap_or_default(), pass)?
    } else {
        section.contents().to_vec()
    };
    Ok(match section.tag() {
        "RSA PRIVATE KEY" => PrivateKeyDer::Pkcs1(der.into()),
        "EC PRIVATE KEY" => PrivateKeyDer::Sec1(der.into()),
        _ => PrivateKeyDer::Pkcs8(der.into()),
    })
}

/// Decrypts what `openssl pkcs8 -topk8` writes.
fn pkcs8(der: &[u8], pass: &str) -> Result<Vec<u8>, KeyError> {
    let unsupported = |how: &str| KeyError::Unsupported(how.to_owned());
    let encrypted =
        EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| unsupported("an old algorithm"))?;
    let key = encrypted.decrypt(pass).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::EncryptFailed) => {
            KeyError::WrongPass
        }
        pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm { oid }) => {
            KeyError::Unsupported(format!("the algorithm {oid}"))
        }
        pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::NoPbes1CryptSupport) => {
            unsupported("an old algorithm (PBES1)")
        }
        _ => KeyError::WrongPass,
    })?;
    Ok(key.as_bytes().to_vec())
}

/// Decrypts what `openssl rsa -aes256 -traditional` writes; `info` is `CIPHER,IV`.
fn traditional(data: &[u8], info: &str, pass: &str) -> Result<Vec<u8>, KeyError> {
    let unsupported = || KeyError::Unsupported(shown(info));
    let (cipher, iv) = info.split_once(',').ok_or_else(unsupported)?;
    let iv = from_hex(iv.trim()).filter(|iv| iv.len() >= 8).ok_or_else(unsupported)?;
    let key = |length| openssl_key(pass.as_bytes(), &iv[..8], length);
    macro_rules! decrypted {
        ($cipher:ty, $length:literal) => {
            cbc::Decryptor::<$cipher>::new_from_slices(&key($length), &iv)
                .map_err(|_| unsupported())?
                .decrypt_padded_vec::<Pkcs7>(data)
                .map_err(|_| KeyError::WrongPass)
        };
    }
    match cipher.trim() {
        "AES-128-CBC" => decrypted!(aes::Aes128, 16),
        "AES-192-CBC" => decrypted!(aes::Aes192, 24),
        "AES-256-CBC" => decrypted!(aes::Aes256, 32),
        "DES-EDE3-CBC" => decrypted!(des::TdesEde3, 24),
        _ => Err(unsupported()),
    }
}

/// OpenSSL's key derivation for such files: MD5 of all that came before, the pass phrase and the
/// salt (`EVP_BytesToKey` with one round).
fn openssl_key(pass: &[u8], salt: &[u8], length: usize) -> Vec<u8> {
    let mut key = Vec::new();
    let mut last: Vec<u8> = Vec::new();
    while key.len() < length {
        last = Md5::new()
            .chain_update(&last)
            .chain_update(pass)
            .chain_update(salt)
            .finalize()
            .to_vec();
        key.extend_from_slice(&last);
    }
    key.truncate(length);
    key
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<_>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok()).collect()
}

/// The cipher's name, which comes from the file.
fn shown(info: &str) -> String {
    let name = info.split(',').next().unwrap_or_default().trim();
    let plain: String = name.chars().filter(char::is_ascii_graphic).take(30).collect();
    if plain.is_empty() { "an unnamed cipher".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hexadecimal_digits_are_read() {
        assert_eq!(from_hex("00fFa1"), Some(vec![0, 255, 161]));
        assert_eq!((from_hex("0"), from_hex("0g"), from_hex("é1")), (None, None, None));
    }

    #[test]
    fn the_key_of_openssl_is_derived() {
        // printf abc | openssl enc -aes-256-cbc -md md5 -S 0102030405060708 -pass pass:secret -P
        let key = openssl_key(b"secret", &[1, 2, 3, 4, 5, 6, 7, 8], 32);
        let hex: String = key.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(hex, "C9E5A1BD216DBE1317E230CEF48F38EE7F0E17AD64022144BCCEC4A1AA2879AB");
    }

    proptest! {
        #[test]
        fn no_file_panics(
            tag in "(ENCRYPTED |RSA |EC |)PRIVATE KEY",
            info in "(AES-128-CBC|DES-EDE3-CBC|AES-256-CBC|x)?,?[0-9A-F]{0,33}",
            data in prop::collection::vec(any::<u8>(), 0..64),
            pass in prop::option::of("[a-z]{0,4}"),
        ) {
            let mut section = Pem::new(tag, data);
            let _ = section.headers_mut().add("Proc-Type", "4,ENCRYPTED");
            let _ = section.headers_mut().add("DEK-Info", &info);
            let _ = private_key(pem::encode(&section).as_bytes(), pass.as_deref());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(private_key(&bytes, Some("x")).err(), Some(KeyError::None));
            let _ = (pkcs8(&bytes, "x"), traditional(&bytes, "AES-128-CBC,00112233445566778899AABBCCDDEEFF", "x"));
        }
    }
}
