//! Symmetric positive definite systems, in double precision.

use ndarray::{Array2, ArrayView2, s};

/// Solves `matrix · x = right` for every column of `right`, by Cholesky's decomposition.
///
/// What is not positive definite, by rounding or because it is not, is treated as if it were a little more so.
/// Only the lower triangle of `matrix` is read.
pub(crate) fn solve(matrix: &Array2<f64>, mut right: Array2<f64>) -> Array2<f64> {
    let n = matrix.nrows();
    if n == 0 {
        return right;
    }
    let floor = f64::EPSILON * matrix.diag().iter().fold(1.0, |most: f64, x| most.max(x.abs()));
    // The factor, row by row. A row depends on those above it.
    let mut factor: Vec<f64> = matrix.iter().copied().collect();
    for i in 0..n {
        let (above, rest) = factor.split_at_mut(i * n);
        let row = &mut rest[..n];
        for (j, above) in above.chunks_exact(n).enumerate() {
            row[j] = (row[j] - dot(&row[..j], &above[..j])) / above[j];
        }
        row[i] = (row[i] - dot(&row[..i], &row[..i])).max(floor).sqrt();
    }
    let mut row = |i: usize, known: std::ops::Range<usize>, entry: &dyn Fn(usize) -> usize| {
        let mut sum = right.row(i).to_owned();
        for j in known {
            sum.scaled_add(-factor[entry(j)], &right.row(j));
        }
        sum /= factor[i * n + i];
        right.row_mut(i).assign(&sum);
    };
    for i in 0..n {
        row(i, 0..i, &|j| i * n + j);
    }
    for i in (0..n).rev() {
        row(i, i + 1..n, &|j| j * n + i);
    }
    right
}

/// Adds `rowsᵀ · rows` to the lower triangle of `sum`.
pub(crate) fn add_gram(sum: &mut Array2<f64>, rows: ArrayView2<'_, f64>) {
    const BLOCK: usize = 256;
    for from in (0..rows.ncols()).step_by(BLOCK) {
        let to = (from + BLOCK).min(rows.ncols());
        let product = rows.slice(s![.., from..to]).t().dot(&rows.slice(s![.., ..to]));
        sum.slice_mut(s![from..to, ..to]).scaled_add(1.0, &product);
    }
}

/// A sum of products in eight lanes, which the compiler can keep in a vector.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random and are not.
    fn numbers(rows: usize, columns: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, columns), |(i, j)| ((i * 37 + j * 101) as f64 * 0.7).sin())
    }

    #[test]
    fn a_system_is_solved() {
        let rows = numbers(700, 300);
        let mut matrix = Array2::eye(300);
        add_gram(&mut matrix, rows.view());
        let expected = numbers(300, 3);
        let whole = rows.t().dot(&rows) + Array2::<f64>::eye(300);
        let found = solve(&matrix, whole.dot(&expected));
        assert!((found - expected).iter().all(|error| error.abs() < 1e-9));
    }

    #[test]
    fn a_singular_system_has_a_finite_answer() {
        let found = solve(&Array2::ones((3, 3)), Array2::ones((3, 1)));
        assert!(found.iter().all(|x| x.is_finite()));
    }
}
