//! Our signer, which may refuse one coin.

use arb_core::{InputSignature, SignRequest};
use arb_harness::signer::{KeySigner, SignError, Signer};
use bitcoin::OutPoint;

/// A signer that refuses whatever spends one certain coin, as one does that does not know the coin's key any more (A36).
#[derive(Clone, Debug)]
pub(crate) struct SimSigner {
    pub(crate) keys: KeySigner,
    /// The coin that it refuses.
    pub(crate) refuses: Option<OutPoint>,
}

impl Signer for SimSigner {
    fn sign(&mut self, request: &SignRequest) -> Result<Vec<InputSignature>, SignError> {
        let mut coins = request.tx.input.iter().map(|input| input.previous_output);
        match coins.find(|coin| self.refuses == Some(*coin)) {
            Some(coin) => Err(SignError::UnknownCoin(coin)),
            None => self.keys.sign(request),
        }
    }
}
