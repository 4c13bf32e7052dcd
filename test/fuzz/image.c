// SPDX-License-Identifier: MIT
//
// This module provides: the coverage counters of one driver image, handed to the fuzz target that loaded it (coverage.cpp). It is linked into the
// image of fuzz builds; the compiler calls the first function for each of the image's objects.

/// In the fuzz target.
void minipend_fuzz_image_loaded(unsigned char *first, unsigned char *end);
void minipend_fuzz_image_unloaded(void);

void __sanitizer_cov_8bit_counters_init(unsigned char *first, unsigned char *end);

void __sanitizer_cov_8bit_counters_init(unsigned char *first, unsigned char *end) {
    minipend_fuzz_image_loaded(first, end);
}

__attribute__((destructor)) static void unloaded(void) {
    minipend_fuzz_image_unloaded();
}
