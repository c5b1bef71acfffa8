"""Operations on arrays, with gradients of their own where XLA loses them."""
