// The formats, each in the file of its name. Private to this directory.
#pragma once

#include "simulate/reader.h"

extern const struct format format_swf, format_openb, format_philly, format_pollux, format_sacct;
extern const struct format format_openb_nodes, format_hosts;
