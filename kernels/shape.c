#include "kernels/shape.h"

#include "common/text.h"

void shape_text(struct shape s, struct text *ret)
{
    if (s.sequence && !s.channels)
        text_addf(ret, "token ids of %zu", s.height);
    else if (s.sequence)
        text_addf(ret, "steps x %zu", s.channels);
    else if (s.height * s.width > 1)
        text_addf(ret, "%zu x %zu x %zu", s.height, s.width, s.channels);
    else
        text_addf(ret, "%zu", s.channels);
}
