using Polymath.Training.Evaluation;
using Polymath.Training.Stages;

namespace Polymath.Training.Reports;

/// <summary>What a stage took and did.</summary>
/// <param name="Name">The stage.</param>
/// <param name="Kind">What it learned: pretrain, finetune, task or align.</param>
/// <param name="Method">What it trained, such as full or lora.</param>
/// <param name="Steps">Optimizer steps.</param>
/// <param name="Seconds">The time spent in steps, in seconds.</param>
/// <param name="TokensPerSecond">Tokens read in a second.</param>
/// <param name="Tokens">Tokens read.</param>
/// <param name="TrainableParameters">Numbers that were trained.</param>
/// <param name="TotalParameters">Numbers of the whole model.</param>
/// <param name="FirstLoss">The loss of the first step, in nats of whatever the objective counts.</param>
/// <param name="LastLoss">The mean loss of the last steps, a tenth of them and ten at most, in nats of whatever the objective
/// counts.</param>
/// <param name="PeakMemoryMegabytes">The most memory the process held up to the stage's end, in millions of bytes.</param>
/// <param name="Unmerged">Whether its delta was kept apart: it is on in the stage's own figures, and the stages after it start from the
/// model without it.</param>
/// <param name="Gate">How far the model with its delta merged is from the model with it beside, over rows of the stage's own data; null
/// where nothing was merged.</param>
/// <param name="HeldOutLoss">The loss of validation rows with the weights the stage ended with; null where it has none.</param>
/// <param name="HeldOutSpread">The standard error of that loss.</param>
/// <param name="Epochs">The passes over the data; null where the stage sampled its own.</param>
/// <param name="Unchanged">Whether the trained weights are what they were before.</param>
/// <param name="Rows">What became of the stage's rows.</param>
public sealed record StageReport(
    string Name,
    string Kind,
    string Method,
    int Steps,
    double Seconds,
    double TokensPerSecond,
    long Tokens,
    long TrainableParameters,
    long TotalParameters,
    double FirstLoss,
    double LastLoss,
    double PeakMemoryMegabytes,
    bool Unmerged = false,
    GateReport? Gate = null,
    double? HeldOutLoss = null,
    double? HeldOutSpread = null,
    double? Epochs = null,
    bool Unchanged = false,
    RowCounts? Rows = null)
{
    /// <summary>What to type to talk to a stage that kept its delta apart: routed adapters need to know whose turn it is.</summary>
    public string Use() => Method.Replace("prompt + ", "", StringComparison.Ordinal).StartsWith("route: ", StringComparison.Ordinal)
        ? $"--stage {Name} for chat (/adapter NAME) and generate --input; elsewhere --adapter with the folder of one, "
            + $"stages/NN-{Name}/adapter/NAME in the run's"
        : $"--stage {Name}";
}

/// <summary>What a run ran on.</summary>
/// <param name="Os">The operating system.</param>
/// <param name="Dotnet">The .NET runtime.</param>
/// <param name="Libtorch">The version of libtorch.</param>
/// <param name="CpuCapability">The instructions libtorch chose its kernels for, such as AVX2.</param>
/// <param name="Threads">Threads of a tensor operation.</param>
/// <param name="Device">Where the tensors lay, such as cpu.</param>
/// <param name="Polymath">Our own version.</param>
public sealed record EnvironmentReport(
    string Os,
    string Dotnet,
    string Libtorch,
    string CpuCapability,
    int Threads,
    string Device,
    string Polymath);
