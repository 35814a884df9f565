// Whether an allocation was refused: what makes a MemoryError the verdict `memory`. One that a
// program raises without that is an exception like others.
#pragma once

namespace azr {

// To be called once, before the interpreter starts and after its arenas are chosen: besides the C
// library's allocations, which are always watched, these are watched then.
void watch_arenas();

bool memory_was_refused();
// From here on anew. Writes nothing where nothing was refused.
void forget_refused_memory();

}  // namespace azr
