//! Good, bad and hostile files.

use super::*;

const SMALL: &[u8] = include_bytes!("../../../../../tests/oracles/fixtures/small.pth");

#[test]
fn strides_and_shared_storages_are_honoured() {
    let weights = StateDict::read(SMALL.to_vec()).unwrap();
    // torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1)
    assert_eq!(weights.shape("permuted").unwrap(), [4, 2, 3]);
    let wanted: Vec<f32> = (0..4)
        .flat_map(|k| (0..2).flat_map(move |i| (0..3).map(move |j| (i * 12 + j * 4 + k) as f32)))
        .collect();
    assert_eq!(weights.floats("permuted").unwrap(), wanted);
    // base[1, 1:, 2]
    assert_eq!(weights.floats("part").unwrap(), [18.0, 22.0]);
    assert!(weights.floats("count").is_err());
    assert_eq!(weights.floats("gone"), Err(StateDictError::NoTensor("gone".into())));
}

#[test]
fn nothing_is_executed() {
    for (module, name) in [("os", "system"), ("builtins", "eval"), ("torch", "HalfStorage")] {
        let pickle = format!("\u{2}c{module}\n{name}\nX\u{1}");
        let mut bytes = vec![0x80];
        bytes.extend(pickle.into_bytes());
        let error = StateDict::read(bytes).unwrap_err().to_string();
        assert!(error.contains(&format!("{module}.{name}")), "{error}");
    }
}

#[test]
fn no_depth_exhausts_the_stack() {
    // A million tuples, each around the one before.
    let mut bytes = vec![0x80, 2, b')'];
    bytes.resize(1_000_000, 0x85);
    bytes.push(b'.');
    assert!(matches!(StateDict::read(bytes), Err(StateDictError::Content(_))));
}

#[test]
fn every_truncation_is_an_error() {
    for length in 0..SMALL.len() {
        assert!(StateDict::read(SMALL[..length].to_vec()).is_err(), "{length}");
    }
}

#[test]
fn damaged_bytes_never_panic() {
    let mut state = 1u64;
    let mut random = move |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % n
    };
    for _ in 0..20_000 {
        let mut bytes = SMALL.to_vec();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
        }
        if let Ok(weights) = StateDict::read(bytes) {
            let names: Vec<String> = weights.names().map(String::from).collect();
            for name in names {
                weights.floats(&name).ok();
            }
        }
    }
}

#[test]
fn views_outside_their_storage_are_lies() {
    let storages = HashMap::from([(
        "0".to_owned(),
        Storage { element: Element::F32, count: 6, bytes: 0..24 },
    )]);
    let check = |offset, shape: &[usize], strides: &[usize]| {
        let (shape, strides) = (shape.to_vec(), strides.to_vec());
        let storage = "0".to_owned();
        let tensor = Tensor { storage, offset, shape, strides };
        check_view("x", &tensor, &storages).is_ok()
    };
    assert!(check(0, &[2, 3], &[3, 1]));
    assert!(check(0, &[3, 2], &[1, 3]));
    assert!(check(5, &[], &[]));
    assert!(check(9, &[0], &[1]));
    assert!(!check(1, &[2, 3], &[3, 1]));
    assert!(!check(6, &[], &[]));
    assert!(!check(0, &[7], &[0]));
    assert!(!check(0, &[2, usize::MAX], &[usize::MAX, 2]));
    assert!(!check(usize::MAX, &[2], &[1]));
}
