"""Printed characters in many typefaces: more classes, and finer ones, than handwritten digits."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIDE = 40
"""Pixels along each side of a rendered glyph."""

CHARACTERS = (
    "234567890ABCDEFGHJKLMNPQRSTUVWXYZabdefghkmnqrty"  # without those drawn like another one
    "αβγδζθλμξπσφψωΓΔΘΛΞΠΣΦΨΩ"
    "&@#%$?!+"
)
"""The classes, in the order of their category ids from 1."""

TYPEFACES = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
)
"""Files among matplotlib's fonts that have all of the characters."""


def render_glyphs() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return ink from 0 to 1, (N, SIDE, SIDE), and the class of each, (N,), by typeface."""
    # Imported late: it takes a second, which a run with nothing to do should not cost.
    import matplotlib as mpl

    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    fonts = [ImageFont.truetype(str(folder / f"{name}.ttf"), 3 * SIDE) for name in TYPEFACES]
    inks = [_render(character, font) for font in fonts for character in CHARACTERS]
    return np.stack(inks), np.tile(np.arange(len(CHARACTERS)), len(TYPEFACES))


def _render(character: str, font: ImageFont.FreeTypeFont) -> NDArray[np.float64]:
    """The character as large as the square allows, its proportions kept."""
    page = Image.new("L", (8 * SIDE, 8 * SIDE))
    ImageDraw.Draw(page).text((2 * SIDE, SIDE), character, fill=255, font=font)
    box = page.getbbox()
    assert box is not None, f"{font.path} has no {character!r}"
    glyph = page.crop(box)
    scale = SIDE / max(glyph.size)
    width, height = (max(1, round(length * scale)) for length in glyph.size)
    square = Image.new("L", (SIDE, SIDE))
    corner = ((SIDE - width) // 2, (SIDE - height) // 2)
    square.paste(glyph.resize((width, height), Image.Resampling.BICUBIC), corner)
    return np.asarray(square, dtype=np.float64) / 255
