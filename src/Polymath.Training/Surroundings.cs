using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Runs.Reports;
using TorchSharp;

namespace Polymath.Training;

/// <summary>The hardware and software of a run.</summary>
public static class Surroundings
{
    /// <summary>The file of a run's folder with the run's hardware and software, and the commits of what it read from hubs.</summary>
    public const string File = "environment.json";

    /// <summary>The commits to which a run's sources on hubs were resolved when it began.</summary>
    /// <param name="folder">The run's folder; one without a run has none.</param>
    /// <exception cref="InputException">The file is damaged.</exception>
    public static IReadOnlyDictionary<string, string> Pins(string folder)
    {
        var file = Path.Combine(folder, File);
        try
        {
            var commits = System.IO.File.Exists(file) ? JsonNode.Parse(System.IO.File.ReadAllText(file))?["hubs"] as JsonObject : null;
            return commits?.ToDictionary(pair => pair.Key, pair => pair.Value!.GetValue<string>()) ?? [];
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException)
        {
            throw new InputException($"{file} is damaged: {e.Message} Restore it, or start again with --fresh.", e);
        }
    }

    /// <summary>This process's environment; this loads libtorch.</summary>
    public static EnvironmentReport Now() => new(
        Os: RuntimeInformation.OSDescription,
        Dotnet: RuntimeInformation.FrameworkDescription,
        Libtorch: torch.__version__,
        CpuCapability: Capability(),
        Threads: torch.get_num_threads(),
        Device: "cpu",
        Polymath: typeof(Surroundings).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "");

    /// <summary>The CUDA devices that libtorch sees.</summary>
    public static int CudaDevices => torch.cuda.is_available() ? torch.cuda.device_count() : 0;

    // The rule by which libtorch chooses its kernels.
    private static string Capability()
    {
        if (Environment.GetEnvironmentVariable("ATEN_CPU_CAPABILITY") is { Length: > 0 } chosen)
            return chosen.ToUpperInvariant();
        if (Avx512BW.VL.IsSupported && Avx512DQ.IsSupported) return "AVX512";
        return Avx2.IsSupported && Fma.IsSupported ? "AVX2" : RuntimeInformation.ProcessArchitecture.ToString();
    }
}
