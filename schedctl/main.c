#include "schedctl/ctl.h"

int main(int argc, char **argv)
{
    (void)argc;
    return ctl_main(argv);
}
