"""The keys of the Agent0 game. The description of a field is its help text on the command line."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from azr_fast.config.schema import Config, GameSection, NonNegative, Section


class Agent0Section(GameSection):
    """Rules of the Agent0 game (arXiv 2511.16043, section 3)."""

    name: Literal["agent0"] = Field(default="agent0", description="the game")
    prompts: Literal["full", "compact"] = Field(
        default="full",
        description="full: instructions alone; compact: worked examples, for small models",
    )
    proposer: Literal["model", "random"] = Field(
        default="model",
        description="who poses questions; random: templates filled with random numbers, a control",
    )
    topics: bool = Field(
        default=False, description="name a field of mathematics, drawn at random, in each prompt"
    )
    siblings: PositiveInt = Field(
        default=4, description="proposals to one prompt, which are compared with each other"
    )
    programs: bool = Field(
        default=False,
        description="also ask for a program that computes the answer, so that the accuracy of the "
        "vote is measured",
    )
    label: Literal["majority", "executed"] = Field(
        default="majority",
        description="what is taught as right; majority: the answer most executors agree on; "
        "executed: what the question's program computes",
    )
    max_question_chars: PositiveInt = Field(default=2000, description="longer ones are rejected")
    tool_calls: int = Field(
        default=4, ge=0, description="most programs that a conversation may run; 0: no tool"
    )
    tool_memory: Literal["stateless", "stateful"] = Field(
        default="stateless",
        description="stateful: the variables of a conversation's programs survive to the next one",
    )
    tool_output: Literal["real", "error"] = Field(
        default="real",
        description="error: every program's output is replaced by an error, to measure what calls "
        "are good for",
    )
    output_chars: PositiveInt = Field(
        default=1500, description="most characters of a program's output that are shown"
    )

    @model_validator(mode="after")
    def _has_truth(self) -> Self:
        if self.label == "executed" and not self.programs and self.proposer == "model":
            raise ValueError("label = executed needs a program with each question: set programs")
        return self


class Agent0Reward(Section):
    """The proposer's reward: format * max(0, uncertainty * unc + tool * calls - repetition * rep).

    An executor earns 1 for the answer that is right, else 0.
    """

    uncertainty: NonNegative = Field(
        default=1.0, description="weight of 1 - 2|p - 0.5|, with p the share of agreeing answers"
    )
    tool: NonNegative = Field(
        default=0.6,
        description="weight of tool use: programs that executors ran in a conversation, "
        "in the mean, over most_calls",
    )
    most_calls: PositiveInt = Field(default=4, description="programs that earn the whole of it")
    repetition: NonNegative = Field(
        default=1.0, description="weight of the share of the step's questions that are alike"
    )
    alike: float = Field(
        default=0.5, gt=0.0, le=1.0, description="largest 1 - BLEU of questions that are alike"
    )

    @model_validator(mode="after")
    def _uncertainty_leads(self) -> Self:
        if self.tool and self.tool >= self.uncertainty:
            raise ValueError(
                f"tool = {self.tool} would pay more for calls than for difficulty: keep it below "
                f"uncertainty = {self.uncertainty}"
            )
        return self


class Agent0Config(Config):
    """A whole run of the Agent0 game."""

    game: Agent0Section = Agent0Section()
    reward: Agent0Reward = Agent0Reward()
