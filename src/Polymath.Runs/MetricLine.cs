using System.Text.Json.Serialization;

namespace Polymath.Runs;

/// <summary>A line of <c>metrics.jsonl</c>: one figure. The line of a step's loss says besides how the step went.</summary>
/// <param name="Stage">The stage's visit.</param>
/// <param name="Step">The optimizer step, from 1; 0 before the first.</param>
/// <param name="Name">The figure: <c>loss</c>, <c>heldOutLoss</c>, an ability, or <c>after ABILITY</c> at a stage's end.</param>
/// <param name="Value">Its value.</param>
public sealed record MetricLine(
    string Stage,
    int Step,
    string Name,
    double Value)
{
    /// <summary>The name of the loss of a step.</summary>
    public const string Loss = "loss";

    /// <summary>What stands before an ability that was measured after a stage.</summary>
    public const string After = "after ";

    /// <summary>When it was written, UTC.</summary>
    [JsonPropertyOrder(-1)]
    public DateTimeOffset Time { get; init; }

    /// <summary>The standard error of the value, where it is known.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? Spread { get; init; }

    /// <summary>The passes over the data that are done, a part of one as a share; over the round's pairs where a stage samples.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? Epoch { get; init; }

    /// <summary>The learning rate of the step.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? Rate { get; init; }

    /// <summary>The norm of the gradient before clipping.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? GradientNorm { get; init; }

    /// <summary>The tokens that the step read.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public long? Tokens { get; init; }

    /// <summary>The tokens that the step read in a second.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? TokensPerSecond { get; init; }

    /// <summary>The memory that the process held after the step, in millions of bytes.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? MemoryMegabytes { get; init; }
}
