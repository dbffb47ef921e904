//! Eigenvalues and eigenvectors of a small symmetric matrix.

use ndarray::Array2;

/// Sweeps over all pairs after which nothing is left to do, with room to spare.
const SWEEPS: usize = 30;

/// Eigenvalues, and eigenvectors as columns in the same order, of the symmetric `a`: cyclic
/// Jacobi rotations (Golub and Van Loan, Matrix Computations, section 8.5).
#[must_use]
pub fn eigen(mut a: Array2<f64>) -> (Vec<f64>, Array2<f64>) {
    let size = a.nrows();
    let mut vectors = Array2::eye(size);
    for _ in 0..SWEEPS {
        let largest = a.diag().iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let mut turned = false;
        for p in 0..size {
            for q in p + 1..size {
                if a[[p, q]].abs() > f64::EPSILON * largest {
                    rotate(&mut a, &mut vectors, p, q);
                    turned = true;
                }
            }
        }
        if !turned {
            break;
        }
    }
    (a.diag().to_vec(), vectors)
}

/// Turns the axes `p` and `q` such that `a[p, q]` becomes 0.
fn rotate(a: &mut Array2<f64>, vectors: &mut Array2<f64>, p: usize, q: usize) {
    let theta = (a[[q, q]] - a[[p, p]]) / (2.0 * a[[p, q]]);
    let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let cosine = tangent.hypot(1.0).recip();
    let sine = tangent * cosine;
    let turn = |x: f64, y: f64| (cosine * x - sine * y, sine * x + cosine * y);
    for k in 0..a.nrows() {
        (a[[k, p]], a[[k, q]]) = turn(a[[k, p]], a[[k, q]]);
    }
    for k in 0..a.nrows() {
        (a[[p, k]], a[[q, k]]) = turn(a[[p, k]], a[[q, k]]);
        (vectors[[k, p]], vectors[[k, q]]) = turn(vectors[[k, p]], vectors[[k, q]]);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn by_hand() {
        let (values, vectors) = eigen(array![[2.0, 1.0], [1.0, 2.0]]);
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        assert!((sorted[0] - 1.0).abs() < 1e-12 && (sorted[1] - 3.0).abs() < 1e-12);
        assert!((vectors[[0, 0]].abs() - 0.5_f64.sqrt()).abs() < 1e-12);
        assert_eq!(eigen(Array2::zeros((0, 0))).0, Vec::<f64>::new());
    }

    #[test]
    fn the_matrix_is_put_together_again() {
        let a = Array2::from_shape_fn((20, 20), |(i, j)| f64::from((i * j % 7 + i + j) as u8));
        let a = &a + &a.t();
        let (values, vectors) = eigen(a.clone());
        let again = (&vectors * &ndarray::Array1::from(values)).dot(&vectors.t());
        assert!((again - a).iter().all(|gap| gap.abs() < 1e-10));
        let unit = vectors.t().dot(&vectors) - Array2::<f64>::eye(20);
        assert!(unit.iter().all(|gap| gap.abs() < 1e-12));
    }
}
