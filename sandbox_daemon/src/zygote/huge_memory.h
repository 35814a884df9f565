// What a fork costs is mappings to copy and pages to fault in again. Once everything is loaded, all
// private memory of the process, code included, moves into a few anonymous mappings of huge pages.
#pragma once

namespace azr {

// Call once, warm, with one thread. Where the kernel refuses a step, what it refused stays as it
// was: that costs speed and nothing else.
void move_to_huge_pages();

// What is mapped after this lies at any page, not below a whole number of huge pages. Call last.
void begin_mappings_at_any_page();

}  // namespace azr
