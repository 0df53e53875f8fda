//! G.711 companding (ITU-T G.711): 8 bits a sample at 8 kHz, µ-law and A-law.
//!
//! Decoding is a table, made at compile time from the standard's segment formulas.

/// µ-law to 16-bit linear, as the standard's decoder gives it (14 significant bits, shifted left by 2).
pub static ULAW: [i16; 256] = ulaw_table();

/// A-law to 16-bit linear, as the standard's decoder gives it (13 significant bits, shifted left by 3).
pub static ALAW: [i16; 256] = alaw_table();

const fn ulaw_table() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = ulaw_to_linear(code as u8);
        code += 1;
    }
    table
}

const fn alaw_table() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = alaw_to_linear(code as u8);
        code += 1;
    }
    table
}

/// Added before µ-law coding so that every segment begins at a power of two.
const ULAW_BIAS: i32 = 0x84;
/// The largest magnitude µ-law can code, without the bias.
const ULAW_CLIP: i32 = 32_635;

const fn ulaw_to_linear(code: u8) -> i16 {
    let code = !code;
    let exponent = (code >> 4) & 7;
    let mantissa = (code & 0x0f) as i32;
    let magnitude = (((mantissa << 3) + ULAW_BIAS) << exponent) - ULAW_BIAS;
    (if code & 0x80 == 0 { magnitude } else { -magnitude }) as i16
}

const fn alaw_to_linear(code: u8) -> i16 {
    let code = code ^ 0x55;
    let exponent = (code >> 4) & 7;
    let mantissa = ((code & 0x0f) as i32) << 4;
    let magnitude = match exponent {
        0 => mantissa + 8,
        _ => (mantissa + 0x108) << (exponent - 1),
    };
    (if code & 0x80 == 0 { -magnitude } else { magnitude }) as i16
}

/// 16-bit linear to µ-law.
#[must_use]
pub const fn ulaw_encode(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = (sample as i32).abs();
    let magnitude = (if magnitude > ULAW_CLIP { ULAW_CLIP } else { magnitude }) + ULAW_BIAS;
    let exponent = 24 - magnitude.leading_zeros() as i32;
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | (exponent << 4) as u8 | mantissa as u8)
}

/// 16-bit linear to A-law.
#[must_use]
pub const fn alaw_encode(sample: i16) -> u8 {
    // The standard splits the negative half at -1, not 0: the one's complement keeps both halves alike.
    let (sign, magnitude) = if sample < 0 { (0, !(sample as i32)) } else { (0x80, sample as i32) };
    let code = if magnitude < 0x100 {
        magnitude >> 4
    } else {
        let exponent = 24 - magnitude.leading_zeros() as i32;
        (exponent << 4) | ((magnitude >> (exponent + 3)) & 0x0f)
    };
    (sign | code as u8) ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_both_scales_are_those_of_the_standard() {
        assert_eq!((ULAW[0x80], ULAW[0x00], ULAW[0xff], ULAW[0x7f]), (32_124, -32_124, 0, 0));
        assert_eq!((ALAW[0xaa], ALAW[0x2a], ALAW[0xd5], ALAW[0x55]), (32_256, -32_256, 8, -8));
    }

    #[test]
    fn every_code_survives_decoding_and_encoding() {
        for code in 0..=255_u8 {
            // Negative zero is the one µ-law code with a twin.
            let expected = if code == 0x7f { 0xff } else { code };
            assert_eq!(ulaw_encode(ULAW[usize::from(code)]), expected, "µ-law {code:#04x}");
            assert_eq!(alaw_encode(ALAW[usize::from(code)]), code, "A-law {code:#04x}");
        }
    }

    #[test]
    fn coding_errs_by_at_most_half_a_step() {
        for sample in i16::MIN..=i16::MAX {
            let magnitude = i32::from(sample).abs();
            let ulaw = i32::from(ULAW[usize::from(ulaw_encode(sample))]);
            let alaw = i32::from(ALAW[usize::from(alaw_encode(sample))]);
            if magnitude <= ULAW_CLIP {
                assert!((ulaw - i32::from(sample)).abs() <= (magnitude + ULAW_BIAS) / 32, "µ-law {sample}");
            }
            if magnitude < 32_512 {
                assert!((alaw - i32::from(sample)).abs() <= (magnitude / 32).max(8), "A-law {sample}");
            }
        }
    }
}
