"""A plot of a few lines, both axes logarithmic, as SVG."""
import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 460, 90, 40, 60, 70
COLOURS = ("#08306b", "#d95f0e", "#2c7f3f", "#7b3294")


class Plot:
    def __init__(self, title, x, y):
        self.title, self.x, self.y = title, x, y
        self.lines = []

    def line(self, name, points):
        self.lines.append((name, points))

    def write(self, path):
        xs = [x for _, points in self.lines for x, _ in points]
        ys = [y for _, points in self.lines for _, y in points]
        x_low, x_high = decades(xs)
        y_low, y_high = decades(ys)

        def at(x, y):
            return (LEFT + (math.log10(x) - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT),
                    HEIGHT - BOTTOM - (math.log10(y) - y_low) / (y_high - y_low) *
                    (HEIGHT - TOP - BOTTOM))

        out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
               f'width="{WIDTH}" font-family="sans-serif" font-size="14" fill="#222">',
               '<rect width="100%" height="100%" fill="#fff"/>',
               text(LEFT, 30, "start", self.title, ' font-size="18" font-weight="bold"'),
               text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 18, "middle", self.x),
               f'<g transform="translate(22 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)">' +
               text(0, 0, "middle", self.y) + "</g>"]
        for k in range(x_low, x_high + 1):
            x, y = at(10 ** k, 10 ** y_low)
            out += [rule(x, TOP, x, y), text(x, y + 22, "middle", short(10 ** k))]
        for k in range(y_low, y_high + 1):
            x, y = at(10 ** x_low, 10 ** k)
            out += [rule(x, y, WIDTH - RIGHT, y), text(x - 10, y + 5, "end", short(10 ** k))]
        for i, (name, points) in enumerate(self.lines):
            places = [at(*p) for p in points]
            path_data = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
            colour = COLOURS[i % len(COLOURS)]
            out.append(f'<path d="{path_data}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
            out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>'
                    for x, y in places]
            out += [text(x, y - 11, "middle", short(float(f"{v:.3g}"))) for (x, y), (_, v) in zip(places, points)]
            y = TOP + 18 + 20 * i
            out += [f'<rect x="{LEFT + 14}" y="{y - 10}" width="22" height="10" fill="{colour}"/>',
                    text(LEFT + 44, y, "start", name)]
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(out) + "\n</svg>\n")


def decades(values):
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def short(value):
    for size, unit in ((10 ** 6, "M"), (10 ** 3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def text(x, y, anchor, words, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{words}</text>'


def rule(x1, y1, x2, y2):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'
