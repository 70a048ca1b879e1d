using System.Reflection;
using System.Runtime.InteropServices;
using Polymath.Recipes;

namespace Polymath.Tensors;

/// <summary>
/// Finds and loads libtorch and TorchSharp's native library: in <c>POLYMATH_LIBTORCH</c>, the program's folder, or the package cache of the
/// build.
/// </summary>
public static partial class TorchRuntime
{
    /// <summary>
    /// The environment variable that names another folder of libtorch files, such as <c>torch/lib</c> of a PyTorch installation.
    /// </summary>
    public const string Variable = "POLYMATH_LIBTORCH";

    /// <summary>The environment variable that allows another version of libtorch; for tests of this case.</summary>
    public const string AnyVersion = "POLYMATH_ANY_LIBTORCH";

    /// <summary>The version of libtorch that TorchSharp 0.107 is compiled for.</summary>
    public const string Version = "2.10";

    // The version in the library's binary interface: major, minor, patch, one byte each, from the top.
    private const ulong Interface = 0x020a;

    // The functions that LibTorch calls without TorchSharp.
    private static readonly string[] needs =
    [
        "aoti_torch_abi_version", "aoti_torch_get_data_ptr", "aoti_torch_create_tensor_from_blob", "aoti_torch_cpu_mm_out",
        "torch_parallel_for",
    ];
    private static readonly Lock gate = new();
    private static readonly List<string> loaded = [];
    private static nint core;

    /// <summary>The native files that were loaded, by full path, in order; empty before <see cref="Load"/>.</summary>
    public static IReadOnlyList<string> Loaded => loaded;

    /// <summary>Whether the build fixed TorchSharp's library, so that its calls keep their tensors alive (decision 7).</summary>
    public static bool WrappersMended =>
        typeof(TorchSharp.torch).Assembly.GetCustomAttribute<System.Diagnostics.DebuggableAttribute>() is { IsJITOptimizerDisabled: true };

    /// <summary>The handle of the library that holds libtorch's C functions.</summary>
    internal static nint Core
    {
        get
        {
            Load();
            return core;
        }
    }

    /// <summary>Loads the native files; does nothing when they are already loaded. It must run before the first tensor is made.</summary>
    /// <exception cref="InputException">A file is missing or does not load; the message names it and says what to type.</exception>
    public static void Load()
    {
        lock (gate)
        {
            if (core != 0) return;
            LetWaitingThreadsSleep();
            nint found = 0;
            var folder = TorchFolder();
            // A CUDA build has its kernels in separate libraries, which register themselves when they are loaded.
            foreach (var name in new[] { "c10", "torch_cpu", "c10_cuda", "torch_cuda", "torch" })
            {
                var file = Path.Combine(folder, FileName(name));
                if (!File.Exists(file))
                {
                    if (name.EndsWith("cuda", StringComparison.Ordinal)) continue;
                    throw new InputException($"libtorch is incomplete: {file} is missing. Run `dotnet restore` again, or set {Variable} to "
                        + "a folder that holds libtorch.");
                }
                var handle = Open(file);
                if (name == "torch_cpu") found = handle;
            }
            CheckVersion(found, Path.Combine(folder, FileName("torch_cpu")));
            Open(TorchSharpFile());
            core = found;
            NativeAllocator.Tune();
        }
    }

    // A libtorch of another version can be loaded but then gives wrong dimensions, because the layout of its tensors is compiled into
    // TorchSharp's library. So the version is checked before anything is called. The functions that are called without TorchSharp must
    // exist, too; this is reported here and not in the middle of a run.
    private static unsafe void CheckVersion(nint library, string file)
    {
        foreach (var needed in needs)
        {
            if (!NativeLibrary.TryGetExport(library, needed, out _))
                throw new InputException($"{file} lacks {needed}: it is not the libtorch {Version} that this build is made for. Set "
                    + $"{Variable} to one of that version, or unset it.");
        }
        Interfaced = ((delegate* unmanaged<ulong>)NativeLibrary.GetExport(library, "aoti_torch_abi_version"))();
        if (string.IsNullOrEmpty(Environment.GetEnvironmentVariable(AnyVersion))) Check(Interfaced, file);
    }

    /// <summary>
    /// The version of the library's binary interface, one byte each from the top: major, minor, patch; 0 before <see cref="Load"/>.
    /// </summary>
    public static ulong Interfaced { get; private set; }

    /// <summary>A version of the binary interface in words, such as 2.10.0.</summary>
    /// <param name="version">The version.</param>
    public static string Words(ulong version) => $"{version >> 56}.{version >> 48 & 0xff}.{version >> 40 & 0xff}";

    /// <summary>Refuses another version than the one that TorchSharp is compiled for.</summary>
    /// <param name="version">The version of the binary interface.</param>
    /// <param name="file">The library.</param>
    internal static void Check(ulong version, string file)
    {
        if (version >> 48 == Interface) return;
        throw new InputException($"{file} is libtorch {Words(version)}, but this build is made for {Version}: their tensor layouts "
            + $"differ, and results would be wrong without a message. Set {Variable} to the folder of a libtorch {Version} (such as "
            + $"torch/lib of a PyTorch {Version} installation), or unset it.");
    }

    // In GNU's OpenMP a waiting thread spins for about a millisecond. Two processes on the same cores then block each other: each is three
    // to five times slower than necessary. A short spin is enough between our kernels. A value that the user set for either variable is
    // kept; it is read when libtorch is loaded.
    private static void LetWaitingThreadsSleep()
    {
        if (!OperatingSystem.IsLinux() || Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is not null
            || Environment.GetEnvironmentVariable("GOMP_SPINCOUNT") is not null)
            return;
        _ = SetEnvironment("GOMP_SPINCOUNT", "2000", 0);
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnvironment(string name, string value, int overwrite);

    private static string TorchFolder()
    {
        var chosen = Environment.GetEnvironmentVariable(Variable);
        if (!string.IsNullOrEmpty(chosen))
            return Directory.Exists(chosen)
                ? Path.GetFullPath(chosen)
                : throw new InputException($"{Variable} names {chosen}, which is not a folder. Unset it, or give the folder that holds "
                    + $"{FileName("torch_cpu")}.");
        var beside = Path.Combine(AppContext.BaseDirectory, "native");
        if (File.Exists(Path.Combine(beside, FileName("torch_cpu")))) return beside;
        return Described("TorchFolder");
    }

    private static string TorchSharpFile()
    {
        var beside = Path.Combine(AppContext.BaseDirectory, "native", FileName("LibTorchSharp"));
        var file = File.Exists(beside) ? beside : Described("TorchSharpLibrary");
        return File.Exists(file)
            ? file
            : throw new InputException($"TorchSharp's native library is missing: {file}. Build again: `dotnet build`.");
    }

    private static string Described(string key) =>
        typeof(TorchRuntime).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().FirstOrDefault(a => a.Key == key)?.Value
            ?? throw new InputException($"This build does not say where libtorch is ({key}). Build again: `dotnet build`.");

    private static string FileName(string library)
    {
        if (OperatingSystem.IsWindows()) return library + ".dll";
        return OperatingSystem.IsMacOS() ? $"lib{library}.dylib" : $"lib{library}.so";
    }

    private static nint Open(string file)
    {
        try
        {
            var handle = NativeLibrary.Load(file);
            loaded.Add(file);
            return handle;
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            throw new InputException($"{file} does not load: {e.Message} Type `polymath doctor` for what this machine has.", e);
        }
    }
}
