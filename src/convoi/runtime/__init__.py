"""Running programs: tables, buffers, threads, the store of machine code."""
