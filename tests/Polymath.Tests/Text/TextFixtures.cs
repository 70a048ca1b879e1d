namespace Polymath.Tests.Text;

/// <summary>The place of the reference numbers, and folders that are deleted after a test.</summary>
internal static class TextFixtures
{
    public static string At(params string[] parts) => Path.Combine([AppContext.BaseDirectory, "fixtures", .. parts]);
}

internal sealed class ScratchFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("polymath-test-").FullName;

    public string At(params string[] parts) => System.IO.Path.Combine([Path, .. parts]);

    public string Write(string name, string text)
    {
        var file = At(name);
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(file)!);
        File.WriteAllText(file, text);
        return file;
    }

    public void Dispose() => Directory.Delete(Path, true);
}
