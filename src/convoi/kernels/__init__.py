"""How each operation is computed: kernels that are generated for their shapes."""
