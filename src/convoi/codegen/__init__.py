"""From typed emission of LLVM IR to machine code: types, builder, target, object code."""
