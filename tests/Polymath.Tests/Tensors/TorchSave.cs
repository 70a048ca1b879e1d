using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Text;
using Polymath.Tensors.Files;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>Writes tensors as <c>torch.save</c> writes a state dictionary: a zip of a pickle and one storage for each tensor.</summary>
internal static class TorchSave
{
    /// <summary>Writes the tensors of a safetensors file.</summary>
    /// <param name="source">The safetensors file.</param>
    /// <param name="target">The file to write.</param>
    internal static void Write(string source, string target)
    {
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(source);
        using var archive = new ZipArchive(File.Create(target), ZipArchiveMode.Create);
        using var pickle = new MemoryStream();
        Put(pickle, "\u0080\u0002}");
        foreach (var (number, name) in file.Entries.Keys.Index())
        {
            var values = file.Map(name);
            Add(archive, $"lora/data/{number}", MemoryMarshal.AsBytes<float>(Samples.Floats(values)));
            Put(pickle, $"X{Number(Encoding.UTF8.GetByteCount(name))}{name}ctorch._utils\n_rebuild_tensor_v2\n((U\u0007storagectorch\n");
            Put(pickle, $"FloatStorage\nX{Number($"{number}".Length)}{number}U\u0003cpuJ{Number((int)values.numel())}tQJ{Number(0)}");
            Put(pickle, $"{Tuple(values.shape)}{Tuple(values.stride())}\u0089}}tRs");
        }
        Put(pickle, ".");
        Add(archive, "lora/data.pkl", pickle.ToArray());
    }

    private static string Tuple(long[] values) => $"({string.Concat(values.Select(value => $"J{Number((int)value)}"))}t";

    private static string Number(int value) => Encoding.Latin1.GetString(BitConverter.GetBytes(value));

    private static void Put(MemoryStream pickle, string text) => pickle.Write(Encoding.Latin1.GetBytes(text));

    private static void Add(ZipArchive archive, string name, ReadOnlySpan<byte> bytes)
    {
        using var entry = archive.CreateEntry(name, CompressionLevel.NoCompression).Open();
        entry.Write(bytes);
    }
}
