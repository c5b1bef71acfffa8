import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax.training import augmentation

KEY = jax.random.key(3)


def images(count, side=6, channels=2):
    """No two pixels equal, and none of them zero."""
    size = (count, side, side, channels)
    return 1 + np.arange(np.prod(size), dtype=np.float32).reshape(size)


def same(one, other):
    return np.array_equal(one, other)


def test_a_crop_without_margin_is_the_image_itself():
    np.testing.assert_array_equal(augmentation.crop(KEY, images(5), 0), images(5))


def test_a_crop_is_a_window_of_the_padded_image():
    """One of the 9 x 9 that a margin of 4 allows, each image its own; all 81 occur."""
    image = images(1)[0]
    many = np.repeat(image[None], 1500, 0)  # one of 81 is left out once in 10^6 seeds
    padded = np.pad(image, [(4, 4), (4, 4), (0, 0)])
    windows = [padded[y : y + 6, x : x + 6] for y, x in itertools.product(range(9), range(9))]
    cropped = np.asarray(augmentation.crop(KEY, many))
    seen = {next(i for i, window in enumerate(windows) if same(window, one)) for one in cropped}
    assert seen == set(range(81))


def test_a_flip_mirrors_left_and_right():
    originals = images(400)
    flipped = np.asarray(augmentation.flip(KEY, originals))
    mirrored = (flipped == originals[:, :, ::-1]).all((1, 2, 3))
    kept = (flipped == originals).all((1, 2, 3))
    assert (mirrored ^ kept).all()
    assert abs(mirrored.sum() - 200) < 40  # four deviations of 10


def test_cutout_zeroes_half_the_side_and_may_stick_out():
    """Of 6x6 pixels: 3x3 about the centre, and 2x2 at least, where the centre is a corner."""
    originals = images(400)
    holes = np.asarray(augmentation.cutout(KEY, originals)) == 0
    assert same(holes[..., 0], holes[..., 1])  # all channels of a pixel
    heights, widths = holes[..., 0].any(2).sum(1), holes[..., 0].any(1).sum(1)
    np.testing.assert_array_equal(holes[..., 0].sum((1, 2)), heights * widths)  # a rectangle
    # A centre c of 0, ..., 5 zeroes c - 1, c, c + 1: two pixels at either border, else three.
    for sides in (heights, widths):
        assert set(sides) == {2, 3}
        assert abs((sides == 2).sum() - 400 / 3) < 4 * np.sqrt(400 * 2 / 9)
    centre = holes[(heights == 3) & (widths == 3), :, :, 0].mean(0)
    assert (centre[2:4, 2:4] > 0).all() and 0 < centre[0, 0] < centre[2, 2]
    corners = [holes[:, y, x, 0] & (heights * widths == 4) for y in (0, 5) for x in (0, 5)]
    assert all(corner.any() for corner in corners)


def test_cutout_leaves_the_other_pixels_alone():
    cut = np.asarray(augmentation.cutout(KEY, images(20)))
    np.testing.assert_array_equal(cut[cut != 0], images(20)[cut != 0])


def test_composition_gives_every_step_a_key_of_its_own():
    noise = lambda key, x: x + jax.random.normal(key, x.shape)
    twice = augmentation.compose([noise, noise])(KEY, jnp.zeros((1, 8)))
    once = augmentation.compose([noise])(KEY, jnp.zeros((1, 8)))
    assert abs(twice - 2 * once).min() > 1e-3
    in_turn = augmentation.compose([lambda key, x: x + 1, lambda key, x: 2 * x])
    np.testing.assert_array_equal(in_turn(KEY, jnp.ones((1, 2))), [[4, 4]])
    np.testing.assert_array_equal(augmentation.compose([])(KEY, images(1)), images(1))


@pytest.mark.parametrize(
    "augment", [augmentation.crop, augmentation.flip, augmentation.cutout], ids=lambda f: f.__name__
)
def test_grey_images_and_keys(augment):
    """Without a channel axis as with one; other keys, other images; the same key, the same."""
    originals = images(8, channels=1)
    with_channels = augment(KEY, originals)
    assert with_channels.dtype == originals.dtype
    np.testing.assert_array_equal(augment(KEY, originals[..., 0]), with_channels[..., 0])
    np.testing.assert_array_equal(augment(KEY, originals), with_channels)
    assert not same(augment(jax.random.key(4), originals), with_channels)
    # Neighbours in a batch draw apart.
    equals = np.repeat(originals[:1], 8, 0)
    assert len({np.asarray(one).tobytes() for one in augment(KEY, equals)}) > 1
