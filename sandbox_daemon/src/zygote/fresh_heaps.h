// A warm interpreter's heaps are full of holes, and a child that fills them copies a page for each.
#pragma once

namespace azr {

// Fills the holes for good, of Python's allocator and of the C library's, so that what a child
// allocates lies side by side, in an order of this zygote's own. Call when warm, once.
void make_heaps_fresh();

}  // namespace azr
