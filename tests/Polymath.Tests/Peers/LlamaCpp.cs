using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json.Nodes;

namespace Polymath.Tests.Peers;

/// <summary>llama.cpp's programs, in the root folder that POLYMATH_PEERS names; a root other than / is entered with chroot.</summary>
internal sealed class LlamaCpp : IDisposable
{
    private static readonly string root = Environment.GetEnvironmentVariable("POLYMATH_PEERS") is { Length: > 0 } named
        ? named
        : throw new InvalidOperationException("POLYMATH_PEERS names no root folder with llama.cpp in it. Set it to / or to a folder that "
            + "can be entered with chroot.");

    /// <summary>A folder that the programs see too.</summary>
    public string Folder { get; } = Directory.CreateDirectory(Path.Combine(root, "tmp", $"polymath-{Guid.NewGuid():N}")).FullName;

    /// <summary>Makes another file of one, as llama-quantize does.</summary>
    public void Quantize(string from, string to, string type, params string[] options)
    {
        using var process = Start("llama-quantize", [.. options, Inside(from), Inside(to), type, "1"]);
        var said = process.StandardError.ReadToEndAsync();
        var result = process.StandardOutput.ReadToEnd() + said.Result;
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, result);
    }

    /// <summary>What llama-completion answers greedily to a text.</summary>
    public string Complete(string file, string prompt, int count)
    {
        using var process = Start("llama-completion", ["-m", Inside(
            file), "-p", prompt, "-n", $"{count}", "--temp", "0", "-no-cnv", "--no-display-prompt", "--no-warmup", "-t", "1", .. plain]);
        process.StandardInput.Close();
        var said = process.StandardError.ReadToEndAsync();
        var result = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, said.Result);
        return result;
    }

    /// <summary>The answers of a server of a file, which is started for them and stopped.</summary>
    public async Task<IReadOnlyList<JsonObject>> Ask(
        string file,
        string path,
        IEnumerable<JsonObject> questions,
        CancellationToken cancel,
        int context = 256)
    {
        var port = FreePort();
        using var process = Start(
            "llama-server",
            ["-m", Inside(file), "--port", $"{port}", "-c", $"{context}", "-np", "1", "-t", "1", "--no-warmup", .. plain]);
        process.StandardInput.Close();
        var said = Task.WhenAll(process.StandardError.ReadToEndAsync(cancel), process.StandardOutput.ReadToEndAsync(cancel));
        try
        {
            using var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}") };
            while (!await IsUp(client, cancel))
            {
                Assert.False(process.HasExited, process.HasExited ? string.Concat(await said) : "");
                await Task.Delay(30, cancel);
            }
            var answers = new List<JsonObject>();
            foreach (var question in questions)
            {
                using var answer = await client.PostAsJsonAsync(path, question, cancel);
                var text = await answer.Content.ReadAsStringAsync(cancel);
                Assert.True(answer.IsSuccessStatusCode, text);
                answers.Add(JsonNode.Parse(text)!.AsObject());
            }
            return answers;
        }
        finally
        {
            if (!process.HasExited) process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync(cancel);
        }
    }

    // Attention and what it keeps in 32 bits.
    private static readonly string[] plain = ["-ctk", "f32", "-ctv", "f32", "-fa", "off", "--no-repack"];

    private static async Task<bool> IsUp(HttpClient client, CancellationToken cancel)
    {
        try
        {
            using var answer = await client.GetAsync("/health", cancel);
            return answer.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private string Inside(string file) => "/" + Path.GetRelativePath(root, Path.Combine(Folder, file));

    private static Process Start(string program, string[] arguments)
    {
        var all = root == "/" ? [program, .. arguments] : new[] { "chroot", root, program }.Concat(arguments);
        return Process.Start(new ProcessStartInfo(
            all.First(), all.Skip(1)) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true })!;
    }

    public void Dispose() => Directory.Delete(Folder, true);
}
