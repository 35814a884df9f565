// The objective of a token; azr_fast/ops/objective.py has the formulas, and the same in torch.
#pragma once

namespace azr {

enum class Correction { none, clip, truncate };

// What all tokens share.
struct Objective {
  Correction correction;
  float dual;  // infinite where there is none
  float cap;
  float kl_weight;
  bool has_reference;
};

// What each token has: the rows of `per_token`.
struct Token {
  float advantage;
  float weight;
  float entropy_weight;
  float behaviour_logp;
  float lowest;  // of the ratios that are not clipped
  float highest;
  float reference_logp;
};

// The rows of `results`. Nats; `clipped` is 0 or 1.
struct TokenResults {
  float logp;
  float entropy;
  float loss;
  float coefficient;  // -d loss / d logp
  float k3;
  float clipped;
};

}  // namespace azr
