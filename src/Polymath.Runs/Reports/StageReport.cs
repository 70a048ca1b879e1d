namespace Polymath.Runs.Reports;

/// <summary>The figures of a stage.</summary>
/// <param name="Name">The stage.</param>
/// <param name="Kind">What it learned: pretrain, finetune, task or align.</param>
/// <param name="Method">What it trained, such as full or lora.</param>
/// <param name="Steps">Optimizer steps.</param>
/// <param name="Seconds">The time spent in steps, in seconds.</param>
/// <param name="TokensPerSecond">Tokens read per second.</param>
/// <param name="Tokens">Tokens read.</param>
/// <param name="TrainableParameters">The number of trained parameters.</param>
/// <param name="TotalParameters">The number of parameters of the whole model.</param>
/// <param name="FirstLoss">The loss of the first step, in nats per unit that the objective counts.</param>
/// <param name="LastLoss">The mean loss of the last steps, a tenth of them and ten at most, in nats of whatever the objective
/// counts.</param>
/// <param name="PeakMemoryMegabytes">The peak memory of the process until the stage's end, in millions of bytes.</param>
/// <param name="Unmerged">Whether its delta was kept apart. The stage's own figures include it, and the stages after it start from the
/// model without it.</param>
/// <param name="Gate">The difference between the model with the delta merged and the model with the delta attached, over rows of the
/// stage's own data; null when nothing was merged.</param>
/// <param name="HeldOutLoss">The loss of validation rows with the weights the stage ended with; null where it has none.</param>
/// <param name="HeldOutSpread">The standard error of that loss.</param>
/// <param name="Epochs">The passes over the data; null where the stage sampled its own.</param>
/// <param name="Unchanged">Whether the trained weights are what they were before.</param>
/// <param name="Rows">What became of the stage's rows.</param>
/// <param name="Aim">How long the recipe asked for.</param>
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
    RowCounts? Rows = null,
    StageAim? Aim = null)
{
    /// <summary>What to type to use a stage that kept its delta apart. For routed adapters, the adapter must be named.</summary>
    public string Use() => Method.Replace("prompt + ", "", StringComparison.Ordinal).StartsWith("route: ", StringComparison.Ordinal)
        ? $"--stage {Name} for chat (/adapter NAME) and generate --input; elsewhere --adapter with the folder of one, "
            + $"stages/NN-{Name}/adapter/NAME in the run's"
        : $"--stage {Name}";
}

/// <summary>How long a stage was asked to train.</summary>
/// <param name="Steps">Its steps; null where epochs were asked for.</param>
/// <param name="Epochs">Its epochs.</param>
/// <param name="Patience">The measurements that might bring nothing better; null for any number.</param>
/// <param name="EndedEarly">Whether it ended by its patience.</param>
public sealed record StageAim(
    int? Steps,
    double? Epochs,
    int? Patience,
    bool EndedEarly);

/// <summary>The hardware and software of a run.</summary>
/// <param name="Os">The operating system.</param>
/// <param name="Dotnet">The .NET runtime.</param>
/// <param name="Libtorch">The version of libtorch.</param>
/// <param name="CpuCapability">The instruction set for which libtorch chose its kernels, such as AVX2.</param>
/// <param name="Threads">The number of threads of a tensor operation.</param>
/// <param name="Device">The device of the tensors, such as cpu.</param>
/// <param name="Polymath">The version of Polymath.</param>
public sealed record EnvironmentReport(
    string Os,
    string Dotnet,
    string Libtorch,
    string CpuCapability,
    int Threads,
    string Device,
    string Polymath);
