using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Polymath.Training.Reports;
using TorchSharp;

namespace Polymath.Training;

/// <summary>What a run ran on.</summary>
public static class Surroundings
{
    /// <summary>This process's surroundings; libtorch is loaded.</summary>
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

    // The rule libtorch chooses its kernels by.
    static string Capability() =>
        Environment.GetEnvironmentVariable("ATEN_CPU_CAPABILITY") is { Length: > 0 } chosen ? chosen.ToUpperInvariant()
        : Avx512BW.VL.IsSupported && Avx512DQ.IsSupported ? "AVX512"
        : Avx2.IsSupported && Fma.IsSupported ? "AVX2"
        : RuntimeInformation.ProcessArchitecture.ToString();
}
