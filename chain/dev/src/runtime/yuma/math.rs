//! Vectors and sparse rows in the chain's `I32F32`, rounded where the chain rounds.
//!
//! Products are floored at 32 fractional bits and quotients are cut off there; a quotient by zero is zero, and
//! what sums to zero stays as it is when normalised.

use substrate_fixed::types::I32F32;

pub(super) type Fixed = I32F32;

/// What one uid says of others; a uid that is not there says zero.
pub(super) type Row = Vec<(u16, Fixed)>;

pub(super) const ZERO: Fixed = Fixed::from_bits(0);
pub(super) const ONE: Fixed = Fixed::from_bits(1 << 32);

pub(super) fn whole(number: u16) -> Fixed {
    Fixed::saturating_from_num(number)
}

/// `part / 65535`.
pub(super) fn proportion(part: u16) -> Fixed {
    divide(whole(part), whole(u16::MAX))
}

/// `floor(x * 65535)`.
pub(super) fn to_u16(x: Fixed) -> u16 {
    x.saturating_mul(whole(u16::MAX)).saturating_to_num()
}

pub(super) fn to_u16s(values: &[Fixed]) -> Vec<u16> {
    values.iter().map(|x| to_u16(*x)).collect()
}

pub(super) fn divide(x: Fixed, by: Fixed) -> Fixed {
    x.checked_div(by).unwrap_or(ZERO)
}

pub(super) fn sum(values: &[Fixed]) -> Fixed {
    values.iter().fold(ZERO, |sum, x| sum.saturating_add(*x))
}

pub(super) fn normalise(values: &mut [Fixed]) {
    let total = sum(values);
    divide_all(values, total);
}

/// Divides by a sum that was taken elsewhere.
pub(super) fn divide_all(values: &mut [Fixed], by: Fixed) {
    if by != ZERO {
        values.iter_mut().for_each(|x| *x = divide(*x, by));
    }
}

pub(super) fn normalise_rows(rows: &mut [Row]) {
    let totals = row_sums(rows);
    for (row, total) in rows.iter_mut().zip(totals) {
        if total > ZERO {
            row.iter_mut().for_each(|(_, x)| *x = divide(*x, total));
        }
    }
}

pub(super) fn row_sums(rows: &[Row]) -> Vec<Fixed> {
    let sum = |row: &Row| row.iter().fold(ZERO, |sum, (_, x)| sum.saturating_add(*x));
    rows.iter().map(sum).collect()
}

/// Each column sums to one.
pub(super) fn normalise_columns(rows: &mut [Row], columns: usize) {
    let totals = fold_columns(rows, columns, Fixed::saturating_add);
    divide_columns(rows, &totals);
}

/// The greatest of each column is one.
pub(super) fn upscale_columns(rows: &mut [Row], columns: usize) {
    let greatest = fold_columns(rows, columns, Fixed::max);
    divide_columns(rows, &greatest);
}

fn fold_columns(rows: &[Row], columns: usize, fold: impl Fn(Fixed, Fixed) -> Fixed) -> Vec<Fixed> {
    let mut folded = vec![ZERO; columns];
    for (column, x) in rows.iter().flatten() {
        if let Some(cell) = folded.get_mut(usize::from(*column)) {
            *cell = fold(*cell, *x);
        }
    }
    folded
}

fn divide_columns(rows: &mut [Row], by: &[Fixed]) {
    for (column, x) in rows.iter_mut().flatten() {
        let divisor = at(by, *column);
        if divisor != ZERO {
            *x = divide(*x, divisor);
        }
    }
}

/// The value of a uid, zero beyond the end.
pub(super) fn at(values: &[Fixed], uid: u16) -> Fixed {
    values.get(usize::from(uid)).copied().unwrap_or(ZERO)
}

/// For each column the sum of its weights times the value of the row.
pub(super) fn weigh_columns(rows: &[Row], by: &[Fixed], columns: usize) -> Vec<Fixed> {
    let mut sums = vec![ZERO; columns];
    for (row, scale) in rows.iter().zip(by) {
        for (column, x) in row {
            if let Some(cell) = sums.get_mut(usize::from(*column)) {
                *cell = cell.saturating_add(scale.saturating_mul(*x));
            }
        }
    }
    sums
}

/// For each row the sum of its weights times the value of the column.
pub(super) fn weigh_rows(rows: &[Row], by: &[Fixed]) -> Vec<Fixed> {
    let weigh = |row: &Row| {
        row.iter().fold(ZERO, |sum, (column, x)| {
            sum.saturating_add(x.saturating_mul(at(by, *column)))
        })
    };
    rows.iter().map(weigh).collect()
}

/// Each row times its own value.
pub(super) fn scale_rows(rows: &[Row], by: &[Fixed]) -> Vec<Row> {
    let scale = |(row, scale): (&Row, &Fixed)| {
        row.iter()
            .map(|(column, x)| (*column, x.saturating_mul(*scale)))
            .collect()
    };
    rows.iter().zip(by).map(scale).collect()
}

/// One row with its zeros written out.
pub(super) fn dense(row: &Row, columns: usize) -> Vec<Fixed> {
    let mut values = vec![ZERO; columns];
    for (column, x) in row {
        if let Some(cell) = values.get_mut(usize::from(*column)) {
            *cell = *x;
        }
    }
    values
}

/// The values above zero with their columns.
pub(super) fn sparse(values: impl Iterator<Item = Fixed>) -> Row {
    (0u16..).zip(values).filter(|(_, x)| *x > ZERO).collect()
}
