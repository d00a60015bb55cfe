/* The command as main() sees it. */
#ifndef MLY_CLI_CLI_H
#define MLY_CLI_CLI_H

/* Runs one command line and returns its exit status: 0 success, 1 failed, 2 wrong usage. */
int cli_main(int argc, char **argv);

#endif
