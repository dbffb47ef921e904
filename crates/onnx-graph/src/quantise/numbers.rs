//! From floats to integers.

/// The affine map between an activation's floats and its bytes: float = scale · (byte − zero).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The step between two bytes; positive.
    pub scale: f32,
    /// The byte that stands for 0, which is so without error.
    pub zero: u8,
}

impl Scale {
    /// The map whose bytes span `low` to `high` and 0. Inside that range rounding is off by at
    /// most half a step.
    #[must_use]
    pub fn of(low: f32, high: f32) -> Self {
        let (low, high) = (f64::from(low.min(0.0)), f64::from(high.max(0.0)));
        let scale = ((high - low) / 255.0) as f32;
        // Ranges of nothing, and those so small that a step is no longer a normal number.
        if scale < f32::MIN_POSITIVE {
            return Self { scale: 1.0, zero: 0 };
        }
        let zero = (-low / f64::from(scale)).round().clamp(0.0, 255.0) as u8;
        Self { scale, zero }
    }

    /// The byte nearest to `value`; ties go to the even one, as ONNX demands.
    #[must_use]
    pub fn quantise(self, value: f32) -> u8 {
        let steps = (value / self.scale).round_ties_even() + f32::from(self.zero);
        steps.clamp(0.0, 255.0) as u8
    }

    /// The float that `byte` stands for.
    #[must_use]
    pub fn dequantise(self, byte: u8) -> f32 {
        (f32::from(byte) - f32::from(self.zero)) * self.scale
    }
}

/// A convolution's constants as integers.
#[derive(Clone, Debug, PartialEq)]
pub struct Channels {
    /// The kernel, in its own order, -127 to 127.
    pub kernel: Vec<i8>,
    /// The step of the kernel's integers for each output channel; positive.
    pub scales: Vec<f32>,
    /// The bias in steps of the channel's scale times the input's; empty without one.
    pub bias: Vec<i32>,
}

/// Largest magnitude of a bias in integers: what is added to it while a convolution sums up
/// still fits 32 bits.
const LARGEST_BIAS: f64 = (1 << 30) as f64;

impl Channels {
    /// The integers for `kernel`, `[channels, …]`, and `bias`, `[channels]`, behind an input
    /// with the scale `input`.
    ///
    /// A channel's scale is as small as its largest weight allows, or as large as its bias
    /// demands: without weights only the bias is left to be represented.
    #[must_use]
    pub fn of(kernel: &[f32], channels: usize, bias: Option<&[f32]>, input: f32) -> Self {
        let each = kernel.len() / channels.max(1);
        let mut integers = Self {
            kernel: Vec::with_capacity(kernel.len()),
            scales: Vec::with_capacity(channels),
            bias: Vec::new(),
        };
        for channel in 0..channels {
            let weights = &kernel[channel * each..(channel + 1) * each];
            let bias = bias.and_then(|bias| bias.get(channel)).copied();
            let scale = step(weights, bias.unwrap_or(0.0), input);
            let steps = |&weight: &f32| (weight / scale).round_ties_even().clamp(-127.0, 127.0);
            integers.kernel.extend(weights.iter().map(|weight| steps(weight) as i8));
            integers.scales.push(scale);
            let step = f64::from(scale * input);
            integers.bias.extend(bias.map(|bias| (f64::from(bias) / step).round() as i32));
        }
        integers
    }
}

/// The step of one channel's weights.
fn step(weights: &[f32], bias: f32, input: f32) -> f32 {
    let largest = weights.iter().fold(0.0f32, |largest, weight| largest.max(weight.abs()));
    let for_weights = f64::from(largest) / 127.0;
    let for_bias = f64::from(bias.abs()) / LARGEST_BIAS / f64::from(input);
    let step = for_weights.max(for_bias) as f32;
    if step < f32::MIN_POSITIVE { 1.0 } else { step }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zero_is_exact_and_the_ends_are_kept() {
        let relu6 = Scale::of(0.3, 6.0);
        assert_eq!(relu6, Scale { scale: 6.0 / 255.0, zero: 0 });
        assert_eq!((relu6.quantise(-1.0), relu6.quantise(6.0), relu6.quantise(9.0)), (0, 255, 255));
        let signed = Scale::of(-1.0, 3.0);
        assert_eq!(signed.zero, 64);
        assert_eq!(signed.dequantise(signed.quantise(0.0)).to_bits(), 0.0f32.to_bits());
        assert_eq!(Scale::of(0.0, 0.0), Scale { scale: 1.0, zero: 0 });
        assert_eq!(Scale::of(0.0, 1e-40), Scale { scale: 1.0, zero: 0 });
        assert_eq!(Scale::of(-2.0, -1.0).zero, 255);
    }

    #[test]
    fn each_channel_has_its_own_step() {
        let kernel = [1.0, -0.5, 100.0, 50.0, 0.0, 0.0];
        let integers = Channels::of(&kernel, 3, Some(&[0.5, -1.0, 2.0]), 0.25);
        assert_eq!(integers.kernel, [127, -64, 127, 64, 0, 0]);
        assert_eq!(integers.scales[..2], [1.0 / 127.0, 100.0 / 127.0]);
        for (channel, bias) in [0.5, -1.0, 2.0].into_iter().enumerate() {
            let step = integers.scales[channel] * 0.25;
            let found = integers.bias[channel] as f32 * step;
            assert!((found - bias).abs() <= step / 2.0, "channel {channel}: {found} for {bias}");
        }
    }

    #[test]
    fn a_channel_without_weights_keeps_its_bias() {
        let integers = Channels::of(&[0.0; 4], 2, Some(&[3.0, 0.0]), 0.02);
        let bias = integers.bias[0] as f32 * integers.scales[0] * 0.02;
        assert!((bias - 3.0).abs() < 1e-6, "{bias}");
        assert_eq!((integers.bias[1], integers.scales[1]), (0, 1.0));
    }

    proptest! {
        #[test]
        fn rounding_is_off_by_half_a_step(
            low in -100.0f32..0.0,
            width in 1e-3f32..200.0,
            at in 0.0f32..=1.0,
        ) {
            let high = (low + width).max(0.0);
            let scale = Scale::of(low, high);
            let value = (low + at * (high - low)).clamp(low, high);
            let error = (scale.dequantise(scale.quantise(value)) - value).abs();
            // Half a step, and the rounding of f32 at this magnitude.
            let most = scale.scale * 0.5 + (low.abs() + high) * 2.0 * f32::EPSILON;
            prop_assert!(error <= most, "{value} is off by {error}, at most {most}");
        }

        #[test]
        fn weights_are_off_by_half_a_step(
            kernel in prop::collection::vec(-5.0f32..5.0, 12),
            bias in prop::collection::vec(-1e6f32..1e6, 3),
            input in 1e-4f32..1.0,
        ) {
            let integers = Channels::of(&kernel, 3, Some(&bias), input);
            for (i, (&weight, &steps)) in kernel.iter().zip(&integers.kernel).enumerate() {
                let scale = integers.scales[i / 4];
                prop_assert!((f32::from(steps) * scale - weight).abs() <= scale * 0.501);
            }
            for (channel, &bias) in bias.iter().enumerate() {
                let step = f64::from(integers.scales[channel] * input);
                let found = f64::from(integers.bias[channel]) * step;
                prop_assert!((found - f64::from(bias)).abs() <= step * 0.501);
            }
        }
    }
}
