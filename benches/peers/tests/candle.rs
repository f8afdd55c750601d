//! The README's example for candle: compiled here, and run. (`.ci/run` looks whether it is the same.)

use candle_core::{DType, Device, Error, Result, Storage, Tensor, WithDType, bail};
use half::{bf16, f16};
use kelvin::{Draw, Key, Logit, RowError, Rows, Temperature, sample};

type Outcomes = Vec<std::result::Result<Draw, RowError>>;

/// An outcome for each row of a tensor of rows x vocab.
fn sample_tensor(logits: &Tensor, t: &[Temperature], keys: &[Key]) -> Result<Outcomes> {
    let logits = logits.to_device(&Device::Cpu)?;
    match logits.dtype() {
        DType::BF16 => sample_as::<bf16>(logits, t, keys),
        DType::F16 => sample_as::<f16>(logits, t, keys),
        _ => sample_as::<f32>(logits.to_dtype(DType::F32)?, t, keys),
    }
}

fn sample_as<L: Logit + WithDType>(
    logits: Tensor,
    temperatures: &[Temperature],
    keys: &[Key],
) -> Result<Outcomes> {
    let (rows, vocab) = logits.dims2()?;
    // Rows may lie apart, as those of a padded vocabulary do, but not the logits of one.
    let logits = match *logits.stride() {
        [stride, 1] if stride >= vocab => logits,
        _ => logits.contiguous()?,
    };
    let (storage, layout) = logits.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { bail!("not on the CPU") };
    let data = &storage.as_slice::<L>()?[layout.start_offset()..];
    let stride = layout.stride()[0].max(vocab); // (That of a single row may be anything.)
    let logits = Rows::with_stride(data, rows, vocab, stride).map_err(Error::wrap)?;
    let uniforms: Vec<f64> = keys.iter().map(|key| key.uniform()).collect();
    let mut draws = vec![Ok(Draw::default()); rows];
    sample(logits, temperatures, &uniforms, &mut draws).map_err(Error::wrap)?;
    Ok(draws)
}
// (The example ends here.)

#[test]
fn rows_of_any_type_and_order() -> Result<()> {
    let logits = Tensor::new(&[[1_f32, 3.0], [f32::NAN, 2.0], [4.0, 1.0]], &Device::Cpu)?;
    let keys = [Key::default(); 3];
    for dtype in [DType::F32, DType::F16, DType::BF16, DType::F64] {
        let draws = sample_tensor(&logits.to_dtype(dtype)?, &[Temperature::GREEDY], &keys)?;
        let tokens: Vec<_> = draws.iter().map(|draw| draw.as_ref().map(|draw| draw.token).ok()).collect();
        assert_eq!(tokens, [Some(1), None, Some(0)], "{dtype:?}");
    }
    let columns = sample_tensor(&logits.t()?, &[Temperature::GREEDY], &keys[..2])?;
    assert!(columns[0].is_err() && columns[1].as_ref().is_ok_and(|draw| draw.token == 0));
    let narrowed = sample_tensor(&logits.narrow(1, 0, 1)?, &[Temperature::GREEDY], &keys)?;
    assert!(narrowed[0].is_ok() && narrowed[1].is_err() && narrowed[2].is_ok());
    let single =
        sample_tensor(&logits.narrow(1, 1, 1)?.contiguous()?.t()?, &[Temperature::GREEDY], &keys[..1])?;
    assert!(single[0].as_ref().is_ok_and(|draw| draw.token == 0));
    let repeated =
        sample_tensor(&logits.narrow(0, 2, 1)?.broadcast_as((3, 2))?, &[Temperature::GREEDY], &keys)?;
    assert!(repeated.iter().all(|draw| draw.as_ref().is_ok_and(|draw| draw.token == 0)));
    Ok(())
}
