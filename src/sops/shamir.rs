//! Shamir's secret sharing over GF(2^8) with the AES polynomial, one polynomial per byte of the secret. A share is the
//! bytes at x followed by x itself.

use crate::{
    error::{Error, Result},
    secret::Secret,
};

/// Splits `secret` so that any `threshold` of `parts` shares give it back. Share `i` is at x = `i` + 1.
pub(crate) fn split(secret: &[u8], parts: usize, threshold: usize) -> Result<Vec<Secret>> {
    let Ok(last) = u8::try_from(parts) else {
        return Err(invalid("a file can have at most 255 key groups"));
    };
    if threshold < 2 {
        return Err(invalid(
            "with several key groups the Shamir threshold must be at least 2",
        ));
    }
    if parts < threshold {
        return Err(invalid(
            "the Shamir threshold is greater than the number of key groups",
        ));
    }
    // Coefficients of degree 1 and up, those of one degree side by side.
    let mut coefficients = Secret::new(vec![0; secret.len() * (threshold - 1)]);
    fill_random(&mut coefficients)?;
    let mut shares = Vec::with_capacity(parts);
    for x in 1..=last {
        let mut share = Secret::with_capacity(secret.len() + 1);
        for (index, &constant) in secret.iter().enumerate() {
            let ascending = coefficients
                .expose()
                .iter()
                .skip(index)
                .step_by(secret.len());
            let y = ascending
                .rev()
                .fold(0, |sum, &coefficient| multiply(sum ^ coefficient, x))
                ^ constant;
            share.push(&[y]);
        }
        share.push(&[x]);
        shares.push(share);
    }
    Ok(shares)
}

/// The secret behind `shares`. Too few of them, or shares of different secrets, give other bytes without an error:
/// only what is done with the result tells.
pub(crate) fn combine(shares: &[Secret]) -> Result<Secret> {
    let mut points = Vec::with_capacity(shares.len());
    for share in shares {
        let Some((&x, y)) = share.expose().split_last() else {
            return Err(damaged("a share of the data key is empty"));
        };
        points.push((x, y));
    }
    let Some(&(_, first)) = points.first() else {
        return Err(damaged("there are no shares of the data key"));
    };
    if points.len() < 2 || first.is_empty() {
        return Err(damaged("at least two shares of the data key are needed"));
    }
    if points.iter().any(|(_, y)| y.len() != first.len()) {
        return Err(damaged("the shares of the data key differ in length"));
    }
    if points
        .iter()
        .enumerate()
        .any(|(index, (x, _))| points.iter().skip(index + 1).any(|(other, _)| other == x))
    {
        return Err(damaged(
            "two key groups hold the same share of the data key",
        ));
    }
    let mut secret = vec![0; first.len()];
    for (index, (x, y)) in points.iter().enumerate() {
        let others = points
            .iter()
            .enumerate()
            .filter(|&(other, _)| other != index);
        let weight = others.fold(1, |weight, (_, (other, _))| {
            multiply(weight, divide(*other, x ^ other))
        });
        for (sum, &byte) in secret.iter_mut().zip(*y) {
            *sum ^= multiply(byte, weight);
        }
    }
    Ok(Secret::new(secret))
}

fn fill_random(bytes: &mut Secret) -> Result<()> {
    let mut random = vec![0; bytes.len()];
    getrandom::fill(&mut random).map_err(|error| {
        Error::new(
            "randomness",
            format!("the system gave no random bytes: {error}"),
        )
    })?;
    *bytes = Secret::new(random);
    Ok(())
}

/// Product in the field, in constant time.
fn multiply(a: u8, b: u8) -> u8 {
    let (mut a, mut product) = (a, 0);
    for bit in 0..8 {
        product ^= a & (b >> bit & 1).wrapping_neg();
        a = a << 1 ^ 0x1b & (a >> 7).wrapping_neg();
    }
    product
}

/// Quotient in the field; the inverse is the 254th power.
fn divide(a: u8, b: u8) -> u8 {
    let (mut inverse, mut square) = (1, b);
    for _ in 0..7 {
        square = multiply(square, square);
        inverse = multiply(inverse, square);
    }
    multiply(a, inverse)
}

fn invalid(message: &str) -> Error {
    Error::new("key-groups", message)
}

fn damaged(message: &str) -> Error {
    Error::new("damaged", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_shares_combine() {
        let shares = [
            [0xb1, 0x83, 0xf1, 0x69, 1],
            [0x82, 0xe5, 0x04, 0x2c, 2],
            [0x93, 0xc7, 0x57, 0xe6, 3],
        ];
        for (a, b) in [(0, 1), (1, 2), (2, 0)] {
            let secret = combine(&[
                Secret::new(shares[a].to_vec()),
                Secret::new(shares[b].to_vec()),
            ])
            .unwrap();
            assert_eq!(secret.expose(), [0xa0, 0xa1, 0xa2, 0xa3]);
        }
        assert_eq!(multiply(0x53, 0xca), 1);
        assert_eq!(divide(1, 0x53), 0xca);
    }

    #[test]
    fn any_quorum_gives_the_secret_back() {
        let secret: Vec<u8> = (0..32).collect();
        let mut shares = split(&secret, 5, 3).unwrap();
        shares.remove(1);
        shares.remove(2);
        assert_eq!(combine(&shares).unwrap().expose(), secret);
        shares.pop();
        assert_ne!(combine(&shares).unwrap().expose(), secret);
    }

    #[test]
    fn impossible_splits_and_shares_are_refused() {
        for (parts, threshold) in [(2, 1), (2, 3), (256, 2), (0, 0)] {
            assert!(split(b"secret", parts, threshold).is_err());
        }
        for shares in [
            vec![],
            vec![vec![]],
            vec![vec![1, 1]],
            vec![vec![1, 1], vec![1, 1]],
            vec![vec![1, 1], vec![1, 1, 2]],
            vec![vec![1], vec![2]],
        ] {
            let shares: Vec<_> = shares.into_iter().map(Secret::new).collect();
            assert!(combine(&shares).is_err());
        }
    }
}
